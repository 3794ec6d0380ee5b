-- One row per product and store whose shown stock differs from its level. Reads marts.inventory_status,
-- core.stock_levels.
select
    'product '
    || coalesce(level.product_id, shown.product_id)
    || ' at '
    || coalesce(level.store_id, shown.store_id) as key,
    format('shown %%s, told %%s', shown.on_hand_quantity, level.on_hand_quantity) as found
from core.stock_levels as level
full join marts.inventory_status as shown on level.product_id = shown.product_id and level.store_id = shown.store_id
where level.on_hand_quantity is distinct from shown.on_hand_quantity
