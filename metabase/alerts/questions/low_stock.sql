-- One row per product and store whose last counted stock is under its reorder level; no row when all is well.
-- Reads marts.inventory_status.
select
    product_name,
    store_name,
    on_hand_quantity,
    reorder_level,
    unit,
    days_of_cover,
    counted_at
from marts.inventory_status
where is_low
order by days_of_cover asc nulls last, product_name asc, store_name asc, product_id asc, store_id asc
