-- One row per moment, product and store that has a reorder level.
-- Reads moments, marts.inventory_status, marts.daily_stock_changes. What was there in the past is what is there now less
-- what has moved since.
select
    moments.moment,
    stock.sku as product,
    stock.store_id as store,
    stock.product_name || ', ' || stock.store_name as title,
    stock.on_hand_quantity - coalesce(sum(later.quantity), 0) as value,
    stock.reorder_level as level,
    stock.unit,
    stock.source
from moments
cross join marts.inventory_status as stock
left join marts.daily_stock_changes as later
    on
        stock.product_id = later.product_id
        and stock.store_id = later.store_id
        and later.business_date > moments.day
        and later.business_date > (select min(earliest.day) from moments as earliest)
where stock.reorder_level > 0
group by
    moments.moment, stock.sku, stock.store_id, stock.product_name, stock.store_name, stock.on_hand_quantity,
    stock.reorder_level, stock.unit, stock.source
