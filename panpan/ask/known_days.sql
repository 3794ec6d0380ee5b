-- One row: the first and the last business date anything is known of.
-- Reads marts.daily_store_sales.
select
    min(business_date) as first_day,
    max(business_date) as last_day
from marts.daily_store_sales
