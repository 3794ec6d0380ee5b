-- One row per product and store counted more than a day ahead. Reads core.stock_levels, core.products.
select
    product.product_key || ' at ' || level.store_id as key,
    format('counted at %%s', level.counted_at) as found
from core.stock_levels as level
inner join core.products as product on level.product_id = product.product_id
where level.counted_at > %(now)s + interval '1 day'
