-- One row: the 30 days that end with the newest business date, beside the 30 days before them.
-- Reads marts.daily_store_sales.
-- Where sales began less than 60 days ago the earlier 30 days are not whole, so nothing is compared.
with scope as (
    select
        currency_code,
        max(business_date) as newest_day,
        min(business_date) as oldest_day
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
    scope.newest_day - 29 as first_day,
    scope.newest_day as last_day,
    scope.currency_code,
    sum(sales.net_amount) filter (where sales.business_date >= scope.newest_day - 29) as net_amount,
    case
        when scope.oldest_day <= scope.newest_day - 59
            then sum(sales.net_amount) filter (where sales.business_date < scope.newest_day - 29)
    end as previous_net_amount
from scope
inner join marts.daily_store_sales as sales on scope.currency_code = sales.currency_code
where
    sales.business_date between scope.newest_day - 59 and scope.newest_day
    [[and sales.source = {{source}}]]
group by scope.newest_day, scope.oldest_day, scope.currency_code
