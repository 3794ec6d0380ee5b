-- One row per store and month with something thrown away, in the currency most is booked in; 13 months.
-- Reads marts.waste.
with scope as (
    select
        currency_code,
        date_trunc('month', max(business_date)) - interval '12 months' as first_month
    from marts.waste
    where cost_amount is not null
    group by currency_code
    order by count(*) desc, currency_code asc
    limit 1
),

per_store as (
    select
        waste.store_id,
        waste.currency_code,
        date_trunc('month', waste.business_date)::date as waste_month,
        max(waste.store_name) as store_name,
        sum(waste.cost_amount) as cost_amount
    from scope
    inner join marts.waste as waste
        on scope.currency_code = waste.currency_code and scope.first_month <= waste.business_date
    where waste.waste_quantity <> 0
    group by waste.store_id, waste.currency_code, date_trunc('month', waste.business_date)
),

stores as (
    select
        store_id,
        max(store_name)
        || case
            when count(*) over (partition by max(store_name)) > 1 then ' (' || store_id || ')' else ''
        end as store_name
    from per_store
    group by store_id
)

select
    per_store.waste_month,
    stores.store_name,
    per_store.store_id,
    per_store.cost_amount,
    per_store.currency_code
from per_store
inner join stores on per_store.store_id = stores.store_id
order by per_store.waste_month, per_store.store_id
