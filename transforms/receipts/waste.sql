-- One row per movement of what was produced or thrown away behind marts.waste, under that mart's names.
-- Reads core.stock_movements, core.products, core.stores, core.inventory. The mart rounds the cost of a day, store and
-- product once; each movement gets its share of that rounded cost, so that the shares add up to it to the cent.
with moved as (
    select
        move.*,
        move.kind = 'waste' as is_waste,
        bool_and(move.unit_cost is not null or move.kind <> 'waste') over cell as is_cost_known,
        round(
            -sum(move.quantity * move.unit_cost) filter (where move.kind = 'waste') over cell_so_far, 2
        ) as cost_so_far
    from core.stock_movements as move
    where move.kind in ('production', 'waste') and move.business_date between %(first_day)s and %(last_day)s
    window
        cell as (partition by move.source, move.business_date, move.store_id, move.product_id),
        cell_so_far as (
            partition by move.source, move.business_date, move.store_id, move.product_id order by move.movement_id
        )
),

shared as (
    select
        moved.*,
        coalesce(moved.cost_so_far, 0) - coalesce(lag(moved.cost_so_far) over cell_in_order, 0) as cost_share
    from moved
    window cell_in_order as (
        partition by moved.source, moved.business_date, moved.store_id, moved.product_id order by moved.movement_id
    )
)

select
    'stock movement' as cited,
    shared.movement_id::text as cited_id,
    shared.source_movement_id || ' (' || shared.kind || '), ' || product.product_name as cited_name,
    array[shared.raw_id] as raw_ids,
    shared.business_date,
    shared.store_id,
    shared.source,
    shared.product_id,
    product.product_name,
    product.category,
    store.store_name,
    coalesce(item.unit, product.unit) as unit,
    %(currencies)s::jsonb ->> shared.source as currency_code,
    case when shared.is_waste then 0 else shared.quantity end as produced_quantity,
    case when shared.is_waste then -shared.quantity else 0 end as waste_quantity,
    case when shared.is_cost_known then shared.cost_share end as cost_amount
from shared
inner join core.products as product on shared.product_id = product.product_id
inner join core.stores as store on shared.store_id = store.store_id
left join core.inventory as item on shared.product_id = item.product_id
