-- One row per day, store and product of the last 60 days delivered in another quantity than was booked in.
-- Reads core.deliveries, core.stock_movements, core.products, core.stores.
with delivered as (
    select
        delivery.product_id,
        delivery.store_id,
        (delivery.delivered_at at time zone store.time_zone)::date as business_date,
        sum(delivery.quantity) as quantity
    from core.deliveries as delivery
    inner join core.stores as store on delivery.store_id = store.store_id
    where delivery.delivered_at between %(now)s - interval '60 days' and %(now)s - interval '1 day'
    group by
        delivery.product_id, delivery.store_id, (delivery.delivered_at at time zone store.time_zone)::date
),

booked as (
    select product_id, store_id, business_date, sum(quantity) as quantity
    from core.stock_movements
    where kind = 'delivery' and business_date >= %(today)s - 61
    group by product_id, store_id, business_date
)

select
    product.product_key || ' at ' || delivered.store_id || ' ' || delivered.business_date as key,
    format('%%s delivered, %%s booked in', delivered.quantity, coalesce(booked.quantity, 0)) as found
from delivered
inner join core.products as product on delivered.product_id = product.product_id
left join booked
    on
        delivered.product_id = booked.product_id
        and delivered.store_id = booked.store_id
        and delivered.business_date = booked.business_date
where abs(delivered.quantity - coalesce(booked.quantity, 0)) > delivered.quantity * 0.05
