-- One row per month, store, source and product, from its first movement to the newest month of the source, for the
-- affected months. Reads affected_stock_months, core.stock_movements, core.products, core.stores, core.inventory, and
-- marts.inventory_turnover for the month before, where the stock then is the stock to begin with. Costs are those
-- booked with the movements: today's price would rewrite the past.
with since as (
    select store_id, source, product_id, min(month) as month
    from affected_stock_months
    group by store_id, source, product_id
),

newest as (
    select date_trunc('month', max(business_date))::date as month
    from core.stock_movements
    where source = %(source)s
),

moved as (
    select
        move.store_id,
        move.source,
        move.product_id,
        date_trunc('month', move.business_date)::date as month,
        sum(move.quantity) as quantity,
        sum(move.quantity) filter (where move.kind = 'opening') as opened_quantity,
        sum(move.quantity) filter (where move.kind = 'delivery') as received_quantity,
        sum(move.quantity) filter (where move.kind = 'production') as produced_quantity,
        -sum(move.quantity) filter (where move.kind = 'sale') as sold_quantity,
        -sum(move.quantity) filter (where move.kind = 'use') as used_quantity,
        -sum(move.quantity) filter (where move.kind = 'waste') as waste_quantity,
        sum(move.quantity) filter (where move.kind in ('count', 'transfer', 'return')) as other_quantity,
        bool_and(move.unit_cost is not null or move.kind not in ('sale', 'use')) as is_cost_known,
        -sum(move.quantity * move.unit_cost) filter (where move.kind in ('sale', 'use')) as cost_amount,
        (
            array_agg(move.unit_cost order by move.moved_at desc, move.movement_id desc)
            filter (where move.unit_cost is not null)
        )[1] as unit_cost
    from since
    inner join core.stock_movements as move
        on
            since.product_id = move.product_id
            and since.store_id = move.store_id
            and since.source = move.source
            and since.month <= move.business_date
    group by move.store_id, move.source, move.product_id, date_trunc('month', move.business_date)
),

begun as (
    select
        since.store_id,
        since.source,
        since.product_id,
        coalesce(known.closing_quantity, 0) as quantity,
        known.unit_cost,
        case
            when known.month is not null then since.month
            else (
                select min(moved.month)
                from moved
                where
                    moved.store_id = since.store_id
                    and moved.source = since.source
                    and moved.product_id = since.product_id
            )
        end as month
    from since
    left join marts.inventory_turnover as known
        on
            (since.month - interval '1 month')::date = known.month
            and since.store_id = known.store_id
            and since.source = known.source
            and since.product_id = known.product_id
),

monthly as (
    select
        begun.store_id,
        begun.source,
        begun.product_id,
        months.month::date as month,
        begun.quantity + coalesce(sum(moved.quantity) over history, 0) as closing_quantity,
        coalesce(moved.quantity, 0) as quantity,
        coalesce(moved.opened_quantity, 0) as opened_quantity,
        coalesce(moved.received_quantity, 0) as received_quantity,
        coalesce(moved.produced_quantity, 0) as produced_quantity,
        coalesce(moved.sold_quantity, 0) as sold_quantity,
        coalesce(moved.used_quantity, 0) as used_quantity,
        coalesce(moved.waste_quantity, 0) as waste_quantity,
        coalesce(moved.other_quantity, 0) as other_quantity,
        case when coalesce(moved.is_cost_known, true) then coalesce(moved.cost_amount, 0) end as cost_amount,
        coalesce(moved.unit_cost, begun.unit_cost) as unit_cost,
        count(moved.unit_cost) over history as cost_number
    from begun
    cross join newest
    cross join
        lateral generate_series(begun.month, newest.month, interval '1 month') as months (month)
    left join moved
        on
            begun.store_id = moved.store_id
            and begun.source = moved.source
            and begun.product_id = moved.product_id
            and months.month = moved.month
    window history as (partition by begun.store_id, begun.source, begun.product_id order by months.month)
),

stocked as (
    select
        store_id,
        source,
        product_id,
        month,
        closing_quantity - quantity + opened_quantity as opening_quantity,
        received_quantity,
        produced_quantity,
        sold_quantity,
        used_quantity,
        waste_quantity,
        other_quantity,
        closing_quantity,
        round((closing_quantity - quantity + opened_quantity + closing_quantity) / 2, 4) as average_quantity,
        -- a month without a cost of its own has that of the month before
        first_value(unit_cost) over (
            partition by store_id, source, product_id, cost_number order by month
        ) as unit_cost,
        cost_amount
    from monthly
)

select
    stocked.month,
    stocked.store_id,
    stocked.source,
    stocked.product_id,
    product.product_name,
    product.category,
    store.store_name,
    coalesce(item.unit, product.unit) as unit,
    %(currency_code)s as currency_code,
    stocked.opening_quantity,
    stocked.received_quantity,
    stocked.produced_quantity,
    stocked.sold_quantity,
    stocked.used_quantity,
    stocked.waste_quantity,
    stocked.other_quantity,
    stocked.closing_quantity,
    stocked.average_quantity,
    case
        when stocked.average_quantity > 0
            then round((stocked.sold_quantity + stocked.used_quantity) / stocked.average_quantity, 4)
    end as turnover,
    stocked.unit_cost,
    round(stocked.average_quantity * stocked.unit_cost, 2) as average_amount,
    round(stocked.cost_amount, 2) as cost_amount
from stocked
inner join core.products as product on stocked.product_id = product.product_id
inner join core.stores as store on stocked.store_id = store.store_id
left join core.inventory as item on stocked.product_id = item.product_id
