-- One row per stage of the CRM's lifecycle: people who entered in the 12 newest months and got that far.
-- Reads marts.sales_funnel.
with scope as (
    select max(month) - interval '11 months' as first_month
    from marts.sales_funnel
    where funnel = 'lifecycle'
)

select
    initcap(funnel.stage) as stage_name,
    sum(funnel.reached_count) as reached_count,
    sum(funnel.last_count) as last_count,
    sum(funnel.entered_count) as entered_count,
    round(1.0 * sum(funnel.reached_count) / nullif(sum(funnel.entered_count), 0), 4) as reached_share
from scope
inner join marts.sales_funnel as funnel on scope.first_month <= funnel.month
where funnel.funnel = 'lifecycle'
group by funnel.stage_number, funnel.stage
order by funnel.stage_number
