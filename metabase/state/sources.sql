-- One row per mart, source and currency: which days it covers, so that a card can say what it was made of.
select
    'marts.daily_store_sales' as mart,
    source,
    currency_code,
    min(business_date) as first_day,
    max(business_date) as last_day,
    sum(ticket_count) as ticket_count
from marts.daily_store_sales
group by source, currency_code
union all
select
    'marts.customer_activity' as mart,
    source,
    currency_code,
    min(month) as first_day,
    (max(month) + interval '1 month')::date - 1 as last_day,
    sum(ticket_count) as ticket_count
from marts.customer_activity
group by source, currency_code
order by mart, source, currency_code
