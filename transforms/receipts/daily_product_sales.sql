-- One row per receipt line behind marts.daily_product_sales, under that mart's names.
-- Reads core.sales, core.sale_lines, core.products.
select
    'receipt line' as cited,
    sale.sale_id::text as cited_id,
    sale.receipt_number || ', line ' || line.line_number as cited_name,
    array[line.raw_id] as raw_ids,
    sale.business_date,
    sale.store_id,
    sale.source,
    product.product_id,
    product.product_name,
    product.category,
    line.currency_code,
    line.quantity,
    line.net_amount
from core.sales as sale
inner join core.sale_lines as line on sale.sale_id = line.sale_id
inner join core.products as product on line.product_id = product.product_id
where sale.business_date between %(first_day)s and %(last_day)s
