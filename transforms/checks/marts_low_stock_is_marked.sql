-- One row per product and store wrongly marked. Reads marts.inventory_status.
select
    sku || ' at ' || store_id as key,
    format('%%s in stock, reorder level %%s', on_hand_quantity, reorder_level) as found
from marts.inventory_status
where is_low <> coalesce(on_hand_quantity < reorder_level, false)
