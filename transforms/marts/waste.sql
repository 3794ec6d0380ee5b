-- One row per business date, store, source and product that was produced or thrown away, for the affected days.
-- Reads core.stock_movements, core.products, core.stores, core.inventory, affected_stock_days. The cost is the one
-- booked with the movement: today's price would rewrite the past. A cost is unknown as soon as one of its parts is.
select
    move.business_date,
    move.store_id,
    move.source,
    move.product_id,
    min(product.product_name) as product_name,
    min(product.category) as category,
    min(store.store_name) as store_name,
    min(coalesce(item.unit, product.unit)) as unit,
    %(currency_code)s as currency_code,
    coalesce(sum(move.quantity) filter (where move.kind = 'production'), 0) as produced_quantity,
    coalesce(-sum(move.quantity) filter (where move.kind = 'waste'), 0) as waste_quantity,
    round(
        -sum(move.quantity) filter (where move.kind = 'waste')
        / nullif(sum(move.quantity) filter (where move.kind = 'production'), 0),
        4
    ) as waste_share,
    case
        when bool_and(move.unit_cost is not null or move.kind <> 'waste')
            then coalesce(round(-sum(move.quantity * move.unit_cost) filter (where move.kind = 'waste'), 2), 0)
    end as cost_amount
from (select distinct business_date, store_id from affected_stock_days) as affected
inner join core.stock_movements as move
    on affected.business_date = move.business_date and affected.store_id = move.store_id
inner join core.products as product on move.product_id = product.product_id
inner join core.stores as store on move.store_id = store.store_id
left join core.inventory as item on move.product_id = item.product_id
where move.source = %(source)s and move.kind in ('production', 'waste')
group by move.business_date, move.store_id, move.source, move.product_id
