-- One row: the newest business date with sales, beside the same weekday a week before.
-- Reads marts.daily_store_sales.
-- The scope is the currency most receipts are in, unless one is asked for: two currencies are never added.
with scope as (
    select
        currency_code,
        max(business_date) as newest_day
    from marts.daily_store_sales
    where
        true
        [[and source = {{source}}]]
        [[and currency_code = {{currency}}]]
        [[and business_date <= {{date_to}}]]
    group by currency_code
    order by sum(ticket_count) desc, currency_code asc
    limit 1
)

select
    scope.newest_day as business_date,
    scope.currency_code,
    sum(sales.net_amount) filter (where sales.business_date = scope.newest_day) as net_amount,
    sum(sales.net_amount) filter (where sales.business_date = scope.newest_day - 7) as previous_net_amount
from scope
inner join marts.daily_store_sales as sales on scope.currency_code = sales.currency_code
where
    sales.business_date in (scope.newest_day, scope.newest_day - 7)
    [[and sales.source = {{source}}]]
group by scope.newest_day, scope.currency_code
