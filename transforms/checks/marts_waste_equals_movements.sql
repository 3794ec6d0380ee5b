-- One row per day, store and source whose waste differs from the movements. Reads marts.waste, core.stock_movements.
with moved as (
    select business_date, store_id, source, -sum(quantity) as quantity
    from core.stock_movements
    where kind = 'waste' and business_date >= %(since)s
    group by business_date, store_id, source
),

shown as (
    select business_date, store_id, source, sum(waste_quantity) as quantity
    from marts.waste
    where business_date >= %(since)s
    group by business_date, store_id, source
)

select
    coalesce(moved.source, shown.source) || ' ' || coalesce(moved.store_id, shown.store_id) || ' '
    || coalesce(moved.business_date, shown.business_date) as key,
    format('shown %%s, booked %%s', shown.quantity, moved.quantity) as found
from moved
full join shown
    on
        moved.business_date = shown.business_date
        and moved.store_id = shown.store_id
        and moved.source = shown.source
where coalesce(moved.quantity, 0) <> coalesce(shown.quantity, 0)
