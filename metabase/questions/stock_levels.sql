-- One row per product and store that keeps stock of it: low ones first, then by how soon they run out.
-- Reads marts.inventory_status.
select
    case when is_low then 'low' when reorder_level > 0 then 'enough' else 'no level' end as stock_state,
    product_name,
    store_name,
    on_hand_quantity,
    reorder_level,
    unit,
    days_of_cover,
    daily_use_quantity,
    sku,
    category,
    counted_at
from marts.inventory_status
order by
    is_low desc, days_of_cover asc nulls last, product_name asc, store_name asc, product_id asc, store_id asc
