-- One row per product and day of the last 60, but for the newest, whose transfers do not come to nothing over all stores.
-- Reads core.stock_movements, core.products.
select
    product.product_key || ' ' || move.business_date as key,
    format('%%s on the way', -sum(move.quantity)) as found
from core.stock_movements as move
inner join core.products as product on move.product_id = product.product_id
where move.kind = 'transfer' and move.business_date between %(today)s - 60 and %(today)s - 1
group by product.product_key, move.business_date
having sum(move.quantity) <> 0
