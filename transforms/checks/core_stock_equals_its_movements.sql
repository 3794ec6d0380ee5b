-- One row per product and store whose level is not the sum of its movements, where the movements begin with an opening.
-- Reads core.stock_levels, core.stock_movements, core.products.
with moved as (
    select product_id, store_id, sum(quantity) as quantity
    from core.stock_movements
    group by product_id, store_id
    having bool_or(kind = 'opening')
)

select
    product.product_key || ' at ' || level.store_id as key,
    format('level %%s, movements %%s', level.on_hand_quantity, moved.quantity) as found
from core.stock_levels as level
inner join moved on level.product_id = moved.product_id and level.store_id = moved.store_id
inner join core.products as product on level.product_id = product.product_id
where level.on_hand_quantity <> moved.quantity
