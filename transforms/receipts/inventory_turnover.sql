-- One row per month, store, source and product behind marts.inventory_turnover, under that mart's names, worked out
-- from every movement up to the end of the month: a level stands on all of them.
-- Reads core.stock_movements, core.products, core.stores, core.inventory.
with newest as (
    select source, date_trunc('month', max(business_date)) as month
    from core.stock_movements
    group by source
),

cells as (
    select first.source, first.store_id, first.product_id, months.month::date as month
    from (
        select source, store_id, product_id, date_trunc('month', min(business_date)) as month
        from core.stock_movements
        group by source, store_id, product_id
    ) as first
    inner join newest on first.source = newest.source
    cross join lateral generate_series(first.month, newest.month, interval '1 month') as months (month)
    where months.month::date between %(first_day)s and %(last_day)s
),

worked_out as (
    select
        cells.source,
        cells.store_id,
        cells.product_id,
        cells.month,
        coalesce(sum(move.quantity) filter (where move.business_date < cells.month or move.kind = 'opening'), 0)
            as opening_quantity,
        sum(move.quantity) as closing_quantity,
        coalesce(
            bool_and(move.unit_cost is not null)
            filter (where move.business_date >= cells.month and move.kind in ('sale', 'use')),
            true
        ) as is_cost_known,
        coalesce(
            -sum(move.quantity * move.unit_cost)
            filter (where move.business_date >= cells.month and move.kind in ('sale', 'use')),
            0
        ) as cost_amount,
        (
            array_agg(move.unit_cost order by move.moved_at desc, move.movement_id desc)
            filter (where move.unit_cost is not null)
        )[1] as unit_cost,
        array_agg(move.raw_id) as raw_ids
    from cells
    inner join core.stock_movements as move
        on
            cells.product_id = move.product_id
            and cells.store_id = move.store_id
            and cells.source = move.source
            and move.business_date < cells.month + interval '1 month'
    group by cells.source, cells.store_id, cells.product_id, cells.month
)

select
    'stock of a month' as cited,
    worked_out.product_id::text || '/' || worked_out.store_id || '/' || worked_out.month::text as cited_id,
    product.product_name || ', ' || store.store_name || ', ' || to_char(worked_out.month, 'YYYY-MM') as cited_name,
    worked_out.raw_ids,
    worked_out.month,
    worked_out.store_id,
    store.store_name,
    worked_out.source,
    worked_out.product_id,
    product.product_name,
    product.category,
    coalesce(item.unit, product.unit) as unit,
    %(currencies)s::jsonb ->> worked_out.source as currency_code,
    worked_out.closing_quantity,
    worked_out.unit_cost,
    round(
        round((worked_out.opening_quantity + worked_out.closing_quantity) / 2, 4) * worked_out.unit_cost, 2
    ) as average_amount,
    case when worked_out.is_cost_known then round(worked_out.cost_amount, 2) end as cost_amount
from worked_out
inner join core.products as product on worked_out.product_id = product.product_id
inner join core.stores as store on worked_out.store_id = store.store_id
left join core.inventory as item on worked_out.product_id = item.product_id
