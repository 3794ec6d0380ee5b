-- One row per store and business date with sales; the 90 newest days unless a first day is asked for.
-- Reads marts.daily_store_sales. Two stores of one name are told apart by their id.
with scope as (
    select
        currency_code,
        max(business_date) as last_day,
        coalesce([[cast({{date_from}} as date), ]]max(business_date) - 89) as first_day
    from marts.daily_store_sales
    where
        true
        [[and source = {{source}}]]
        [[and currency_code = {{currency}}]]
        [[and business_date <= {{date_to}}]]
    group by currency_code
    order by sum(ticket_count) desc, currency_code asc
    limit 1
),

per_store as (
    select
        sales.business_date,
        sales.store_id,
        sales.currency_code,
        max(sales.store_name) as store_name,
        sum(sales.net_amount) as net_amount,
        sum(sales.ticket_count) as ticket_count
    from scope
    inner join marts.daily_store_sales as sales on scope.currency_code = sales.currency_code
    where
        sales.business_date between scope.first_day and scope.last_day
        [[and sales.source = {{source}}]]
    group by sales.business_date, sales.store_id, sales.currency_code
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
    per_store.business_date,
    stores.store_name,
    per_store.store_id,
    per_store.currency_code,
    per_store.net_amount,
    per_store.ticket_count
from per_store
inner join stores on per_store.store_id = stores.store_id
order by per_store.business_date, per_store.store_id
