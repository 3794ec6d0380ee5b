-- One row per month and outcome of the delivery orders placed in it; the 13 newest months.
-- Reads marts.sales_funnel.
with scope as (
    select max(month) - interval '12 months' as first_month
    from marts.sales_funnel
    where funnel = 'orders'
)

select
    funnel.month,
    initcap(funnel.stage) as outcome,
    funnel.last_count as order_count,
    funnel.entered_count
from scope
inner join marts.sales_funnel as funnel on scope.first_month <= funnel.month
where funnel.funnel = 'orders' and funnel.stage in ('completed', 'refunded', 'cancelled')
order by funnel.month asc, funnel.stage_number asc
