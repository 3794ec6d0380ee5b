-- One row per moment, store, source and currency that sold on the day before: against the same weekday.
-- Reads moments, marts.daily_store_sales. The level is one and a half times the mean of the eight same weekdays before,
-- null with fewer than four of them.
with days as (
    select
        moments.moment,
        sales.store_id,
        sales.source,
        sales.currency_code,
        sales.business_date = moments.day - 1 as is_asked,
        max(sales.store_name) as store_name,
        sum(sales.net_amount) as net_amount
    from moments
    inner join marts.daily_store_sales as sales
        on
            sales.business_date between moments.day - 57 and moments.day - 1
            and (moments.day - 1 - sales.business_date) % 7 = 0
    group by moments.moment, sales.store_id, sales.source, sales.currency_code, sales.business_date, moments.day
)

select
    moment,
    store_id as store,
    source as till,
    currency_code as currency,
    max(store_name) as title,
    sum(net_amount) filter (where is_asked) as value,
    case
        when count(net_amount) filter (where not is_asked) >= 4
            then round(1.5 * avg(net_amount) filter (where not is_asked), 2)
    end as level,
    currency_code,
    source
from days
group by moment, store_id, source, currency_code
having bool_or(is_asked)
