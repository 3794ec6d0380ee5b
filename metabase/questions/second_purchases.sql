-- One row per month of first purchase and what came of it; the 13 newest months.
-- Reads marts.sales_funnel.
with scope as (
    select max(month) - interval '12 months' as first_month
    from marts.sales_funnel
    where funnel = 'purchases'
)

select
    funnel.month,
    case when funnel.stage_number = 1 then 'Came once' else 'Came again' end as customer_kind,
    funnel.last_count as customer_count,
    funnel.entered_count
from scope
inner join marts.sales_funnel as funnel on scope.first_month <= funnel.month
where funnel.funnel = 'purchases'
order by funnel.month asc, funnel.stage_number desc
