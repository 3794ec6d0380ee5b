-- One row per product and store behind marts.inventory_status, under that mart's names: the count, the item with its
-- price, and what left in 28 days. Reads core.stock_levels, core.inventory, core.products, core.stores,
-- core.stock_movements. Currencies are those the sources' contracts say.
with last_day as (
    select
        store_id,
        max(business_date) as business_date
    from core.stock_movements
    group by store_id
),

used as (
    select
        move.product_id,
        move.store_id,
        -sum(move.quantity) / 28 as daily_use_quantity,
        array_agg(move.raw_id order by move.raw_id) as raw_ids
    from core.stock_movements as move
    inner join last_day on move.store_id = last_day.store_id
    where move.kind in ('sale', 'use', 'waste') and move.business_date > last_day.business_date - 28
    group by move.product_id, move.store_id
)

select
    'stock count' as cited,
    level.product_id::text || '/' || level.store_id as cited_id,
    product.product_name || ', ' || store.store_name as cited_name,
    array_remove(array[level.raw_id, item.raw_id], null)
    || case when %(with_use)s then coalesce(used.raw_ids, '{}') else '{}' end as raw_ids,
    level.product_id,
    level.store_id,
    coalesce(item.sku, product.product_key) as sku,
    product.product_name,
    product.category,
    product.kind,
    store.store_name,
    coalesce(item.unit, product.unit) as unit,
    level.on_hand_quantity,
    coalesce(level.reorder_level, item.reorder_level) as reorder_level,
    round(used.daily_use_quantity, 4) as daily_use_quantity,
    case
        when used.daily_use_quantity > 0 then round(greatest(level.on_hand_quantity, 0) / used.daily_use_quantity, 1)
    end as days_of_cover,
    coalesce(level.on_hand_quantity < coalesce(level.reorder_level, item.reorder_level), false) as is_low,
    item.unit_cost,
    round(level.on_hand_quantity * item.unit_cost, 2) as inventory_value,
    level.counted_at,
    level.source,
    %(currencies)s::jsonb ->> coalesce(item.source, level.source) as currency_code
from core.stock_levels as level
inner join core.products as product on level.product_id = product.product_id
inner join core.stores as store on level.store_id = store.store_id
left join core.inventory as item on level.product_id = item.product_id
left join used on level.product_id = used.product_id and level.store_id = used.store_id
