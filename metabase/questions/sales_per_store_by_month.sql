-- One row per store and month with sales; the 13 newest months unless a first day is asked for.
-- Reads marts.monthly_store_sales, and marts.daily_store_sales for the scope. Months are whole: a first day
-- within a month takes that month in. Thirteen: the newest stands beside that of the year before.
with scope as (
    select
        currency_code,
        date_trunc('month', max(business_date)) as last_month,
        coalesce(
            [[date_trunc('month', cast({{date_from}} as date)), ]]
            date_trunc('month', max(business_date)) - interval '12 months'
        ) as first_month
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
        sales.month,
        sales.store_id,
        sales.currency_code,
        max(sales.store_name) as store_name,
        sum(sales.net_amount) as net_amount,
        sum(sales.ticket_count) as ticket_count
    from scope
    inner join marts.monthly_store_sales as sales on scope.currency_code = sales.currency_code
    where
        sales.month between scope.first_month and scope.last_month
        [[and sales.source = {{source}}]]
    group by sales.month, sales.store_id, sales.currency_code
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
    per_store.month,
    stores.store_name,
    per_store.store_id,
    per_store.currency_code,
    per_store.net_amount,
    per_store.ticket_count
from per_store
inner join stores on per_store.store_id = stores.store_id
order by per_store.month, per_store.store_id
