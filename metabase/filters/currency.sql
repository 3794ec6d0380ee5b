-- One row per currency with sales.
-- Reads marts.daily_store_sales.
select distinct currency_code
from marts.daily_store_sales
order by currency_code
