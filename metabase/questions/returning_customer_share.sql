-- One row: of the known customers of the newest whole month, the share that had bought in an earlier month.
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
),

firsts as (
    select
        customer_id,
        date_trunc('month', min(first_purchase_on))::date as first_month
    from marts.customer_activity
    group by customer_id
),

customers as (
    select distinct
        bought.month,
        scope.whole_month,
        bought.customer_id,
        bought.month = firsts.first_month as is_first
    from scope
    inner join marts.customer_activity as bought
        on bought.month in (scope.whole_month, scope.month_before)
    inner join firsts on bought.customer_id = firsts.customer_id
    where
        true
        [[and bought.source = {{source}}]]
        [[and bought.currency_code = {{currency}}]]
)

select
    whole_month,
    round(
        1.0 * count(*) filter (where month = whole_month and not is_first)
        / nullif(count(*) filter (where month = whole_month), 0), 4
    ) as returning_share,
    round(
        1.0 * count(*) filter (where month < whole_month and not is_first)
        / nullif(count(*) filter (where month < whole_month), 0), 4
    ) as previous_returning_share
from customers
group by whole_month
