-- One row per product, store and day with more waste than came in over the 14 days up to it. Reads core.stock_movements,
-- core.products.
with wasted as (
    select product_id, store_id, business_date, -sum(quantity) as quantity
    from core.stock_movements
    where kind = 'waste' and business_date >= %(since)s
    group by product_id, store_id, business_date
)

select
    product.product_key || ' at ' || wasted.store_id || ' ' || wasted.business_date as key,
    format('%%s thrown away, %%s came in over 14 days', wasted.quantity, came.quantity) as found
from wasted
inner join core.products as product on wasted.product_id = product.product_id
inner join lateral (
    select coalesce(sum(move.quantity), 0) as quantity
    from core.stock_movements as move
    where
        move.product_id = wasted.product_id
        and move.store_id = wasted.store_id
        and move.quantity > 0
        and move.business_date between wasted.business_date - 14 and wasted.business_date
) as came on true
where wasted.quantity > greatest(came.quantity, 1) * 1.5
