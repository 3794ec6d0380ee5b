-- One row per product and store with less than nothing. Reads core.stock_levels, core.products.
select
    product.product_key || ' at ' || level.store_id as key,
    format('%%s in stock', level.on_hand_quantity) as found
from core.stock_levels as level
inner join core.products as product on level.product_id = product.product_id
where level.on_hand_quantity < 0
