-- One row per product and store that keeps stock of it, as last counted.
-- Reads core.stock_levels, core.inventory, core.products, core.stores, core.stock_movements, and
-- marts.inventory_status for the currency of items other sources list. The value is in the currency of the source that
-- lists the item, which its contract says.
-- Daily use is the mean of what left over the 28 days up to the last movement known of the store.
with last_day as (
    select store_id, max(business_date) as business_date
    from core.stock_movements
    group by store_id
),

used as (
    select
        move.product_id,
        move.store_id,
        -sum(move.quantity) / 28 as daily_use_quantity
    from core.stock_movements as move
    inner join last_day on move.store_id = last_day.store_id
    where move.kind in ('sale', 'use', 'waste') and move.business_date > last_day.business_date - 28
    group by move.product_id, move.store_id
)

select
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
    round(level.on_hand_quantity * item.unit_cost, 2) as inventory_value,
    level.counted_at,
    level.source,
    case
        when coalesce(item.source, level.source) = %(source)s then %(currency_code)s
        else coalesce(known.currency_code, product.currency_code)
    end as currency_code
from core.stock_levels as level
inner join core.products as product on level.product_id = product.product_id
inner join core.stores as store on level.store_id = store.store_id
left join core.inventory as item on level.product_id = item.product_id
left join used on level.product_id = used.product_id and level.store_id = used.store_id
left join marts.inventory_status as known on level.product_id = known.product_id and level.store_id = known.store_id
