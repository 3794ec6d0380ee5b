-- One row per product whose usual price of the last 30 days is half its list price or less, or twice and more.
-- Reads core.products, core.sale_lines. Prices may hold tax on one side only; half and twice leave room for it.
with sold as (
    select product_id, percentile_cont(0.5) within group (order by gross_amount / quantity) as price
    from core.sale_lines
    where business_date between %(today)s - 30 and %(today)s and gross_amount > 0 and quantity > 0
    group by product_id
    having count(*) >= 5
)

select
    product.catalogue || ' ' || product.product_key as key,
    format('listed at %%s, sold at %%s', product.list_price, round(sold.price::numeric, 2)) as found
from core.products as product
inner join sold on product.product_id = sold.product_id
where product.list_price > 0 and (sold.price >= product.list_price * 2 or sold.price <= product.list_price / 2)
