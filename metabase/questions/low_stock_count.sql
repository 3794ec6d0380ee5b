-- One row: products low in a store, of all products kept in a store.
-- Reads marts.inventory_status. No row while no stock is known: "0 low" would sound like good news.
select
    count(*) filter (where is_low) as low_stock_count,
    count(*) as stock_count
from marts.inventory_status
having count(*) > 0
