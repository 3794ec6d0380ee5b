-- One row: products low in a store, of all products counted in a store.
-- Reads marts.inventory_status. No row while nothing was ever counted: "0 low" would sound like good news.
select
    count(*) filter (where is_low) as low_stock_count,
    count(*) as stock_count,
    max(counted_at) as counted_at
from marts.inventory_status
having count(*) > 0
