-- One row per product and store, as last counted; an older count, or one received earlier,
-- never replaces a newer one.
-- Reads stage_stock_levels, core.stock_levels.
select distinct on (level.product_key, level.store_id)
    core.key(%(catalogue)s, level.product_key) as product_id,
    level.store_id,
    level.on_hand_quantity,
    level.reorder_level,
    level.counted_at,
    %(source)s as source,
    level.raw_id,
    level.load_id,
    level.counted_at as valid_from
from stage_stock_levels as level
left join core.stock_levels as known
    on core.key(%(catalogue)s, level.product_key) = known.product_id and level.store_id = known.store_id
where core.may_replace(level.counted_at, level.raw_id, known.counted_at, known.raw_id)
order by level.product_key asc, level.store_id asc, level.counted_at desc nulls last, level.raw_id desc
