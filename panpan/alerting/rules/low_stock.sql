-- One row per moment, product and store that has a reorder level.
-- Reads moments, figures (the metric stock on hand, as it is now), marts.inventory_status for the level, and
-- marts.daily_stock_changes: what was there in the past is what is there now less what has moved since.
with levels as (
    select
        product_name,
        store_id,
        min(store_name) as store_name,
        min(sku) as sku,
        min(unit) as unit,
        min(source) as source,
        sum(reorder_level) as reorder_level,
        array_agg(product_id) as product_ids
    from marts.inventory_status
    where reorder_level > 0
    group by product_name, store_id
)

select
    moments.moment,
    levels.sku as product,
    levels.store_id as store,
    levels.product_name || ', ' || levels.store_name as title,
    figures.value - coalesce(later.quantity, 0) as value,
    levels.reorder_level as level,
    levels.unit,
    levels.source,
    to_jsonb(figures) as cell
from moments
cross join levels
inner join figures on levels.product_name = figures.product and levels.store_id = figures.store
cross join
    lateral (
        select sum(change.quantity) as quantity
        from marts.daily_stock_changes as change
        where
            change.product_id = any(levels.product_ids)
            and change.store_id = levels.store_id
            and change.business_date > moments.day
            and moments.day < (select max(newest.day) from moments as newest)
    ) as later
