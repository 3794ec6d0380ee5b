-- One row per product whose usual price of the last 30 days is below its unit cost.
-- Reads core.inventory, core.sale_lines.
with sold as (
    select product_id, percentile_cont(0.5) within group (order by net_amount / quantity) as price
    from core.sale_lines
    where business_date between %(today)s - 30 and %(today)s and net_amount > 0 and quantity > 0
    group by product_id
    having count(*) >= 5
)

select
    'item ' || item.sku as key,
    format('costs %%s, sold at %%s', item.unit_cost, round(sold.price::numeric, 2)) as found
from core.inventory as item
inner join sold on item.product_id = sold.product_id
where item.unit_cost > sold.price
