-- One row per movement, in its latest version: the source's own update time decides, then the order received.
-- Reads stage_stock_movements, core.stock_movements.
select distinct on (move.movement)
    core.key(%(source)s, 'movement', move.movement) as movement_id,
    %(source)s as source,
    move.movement as source_movement_id,
    core.key(%(catalogue)s, move.product_key) as product_id,
    move.store_id,
    move.kind,
    move.quantity,
    move.unit_cost,
    move.moved_at,
    move.business_date,
    move.updated_at as source_updated_at,
    move.raw_id,
    move.load_id,
    move.moved_at as valid_from
from stage_stock_movements as move
left join core.stock_movements as known
    on core.key(%(source)s, 'movement', move.movement) = known.movement_id
where core.may_replace(move.updated_at, move.raw_id, known.source_updated_at, known.raw_id)
order by move.movement asc, move.updated_at desc nulls last, move.raw_id desc
