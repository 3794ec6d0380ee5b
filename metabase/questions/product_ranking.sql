-- One row per product, the 15 that sold for most; the 90 newest days unless a first day is asked for.
-- Reads marts.daily_product_sales, and marts.daily_store_sales for the scope.
-- Two products of one name (two sources, say) stay two rows, the smaller marked (2).
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

per_product as (
    select
        sales.product_id,
        sales.currency_code,
        scope.first_day,
        scope.last_day,
        max(sales.product_name) as product_name,
        max(sales.category) as category,
        sum(sales.quantity) as sold_quantity,
        sum(sales.net_amount) as net_amount
    from scope
    inner join marts.daily_product_sales as sales on scope.currency_code = sales.currency_code
    where
        sales.business_date between scope.first_day and scope.last_day
        [[and sales.source = {{source}}]]
    group by sales.product_id, sales.currency_code, scope.first_day, scope.last_day
),

numbered as (
    select
        product_id,
        product_name,
        category,
        sold_quantity,
        net_amount,
        currency_code,
        first_day,
        last_day,
        row_number() over (
            partition by product_name order by net_amount desc nulls last, product_id asc
        ) as name_number
    from per_product
)

select
    product_name || case when name_number > 1 then ' (' || name_number || ')' else '' end as product_name,
    category,
    net_amount,
    sold_quantity,
    currency_code,
    first_day,
    last_day
from numbered
order by net_amount desc nulls last, product_name asc, name_number asc
limit 15
