-- One row per store that sold in the last fortnight of the data, but not on its last two days.
-- Reads marts.daily_store_sales.
with newest as (
    select max(business_date) as business_date
    from marts.daily_store_sales
)

select
    max(sales.store_name) as store_name,
    max(sales.business_date) as last_day_with_sales,
    max(newest.business_date) as newest_day
from newest
inner join marts.daily_store_sales as sales
    on
        sales.business_date > newest.business_date - 15
        and sales.ticket_count > 0
group by sales.store_id
having max(sales.business_date) < max(newest.business_date) - 1
order by last_day_with_sales, store_name, sales.store_id
