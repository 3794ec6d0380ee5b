-- One row per product, the 12 whose waste cost most in the 90 newest days.
-- Reads marts.waste. Two products of one name stay two rows, the smaller marked (2).
with scope as (
    select
        currency_code,
        max(business_date) - 89 as first_day,
        max(business_date) as last_day
    from marts.waste
    where cost_amount is not null
    group by currency_code
    order by count(*) desc, currency_code asc
    limit 1
),

per_product as (
    select
        waste.product_id,
        waste.currency_code,
        scope.first_day,
        scope.last_day,
        max(waste.product_name) as product_name,
        max(waste.unit) as unit,
        sum(waste.waste_quantity) as waste_quantity,
        sum(waste.waste_quantity) / nullif(sum(waste.produced_quantity), 0) as waste_share,
        sum(waste.cost_amount) as cost_amount
    from scope
    inner join marts.waste as waste on scope.currency_code = waste.currency_code
    where waste.business_date between scope.first_day and scope.last_day
    group by waste.product_id, waste.currency_code, scope.first_day, scope.last_day
    having sum(waste.cost_amount) > 0
),

numbered as (
    select
        product_name,
        product_id,
        unit,
        waste_quantity,
        waste_share,
        cost_amount,
        currency_code,
        first_day,
        last_day,
        row_number() over (partition by product_name order by cost_amount desc, product_id asc) as name_number
    from per_product
)

select
    product_name || case when name_number > 1 then ' (' || name_number || ')' else '' end as product_name,
    cost_amount,
    waste_quantity,
    unit,
    round(waste_share, 4) as waste_share,
    currency_code,
    first_day,
    last_day
from numbered
order by cost_amount desc, product_name asc, name_number asc
limit 12
