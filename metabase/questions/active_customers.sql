-- One row: known customers who bought in the newest whole month, beside the month before it.
-- Reads marts.customer_activity, and marts.daily_store_sales to tell whether a month is over.
with newest as (
    select date_trunc('month', max(business_date) + 1)::date as month_after
    from marts.daily_store_sales
    where
        true
        [[and source = {{source}}]]
        [[and currency_code = {{currency}}]]
        [[and business_date <= {{date_to}}]]
),

scope as (
    select
        (month_after - interval '1 month')::date as whole_month,
        (month_after - interval '2 months')::date as month_before
    from newest
)

select
    scope.whole_month,
    count(distinct bought.customer_id) filter (where bought.month = scope.whole_month) as customer_count,
    count(distinct bought.customer_id) filter (where bought.month = scope.month_before)
        as previous_customer_count
from scope
inner join marts.customer_activity as bought
    on bought.month in (scope.whole_month, scope.month_before)
where
    true
    [[and bought.source = {{source}}]]
    [[and bought.currency_code = {{currency}}]]
group by scope.whole_month
