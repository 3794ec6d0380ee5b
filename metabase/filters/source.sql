-- One row per source with sales.
-- Reads marts.daily_store_sales.
select distinct source
from marts.daily_store_sales
order by source
