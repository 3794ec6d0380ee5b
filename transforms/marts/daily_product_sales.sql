-- One row per business date, store, source, product and currency, for the affected days.
-- Reads core.sale_lines, core.sales, core.products, affected_days.
select
    sale.business_date,
    sale.store_id,
    sale.source,
    product.product_id,
    min(product.product_name) as product_name,
    min(product.category) as category,
    line.currency_code,
    sum(line.quantity) as quantity,
    sum(line.net_amount) as net_amount,
    (count(distinct sale.sale_id) filter (where sale.event = 'sale'))::integer as ticket_count
from affected_days as day
inner join core.sales as sale
    on day.business_date = sale.business_date and day.store_id = sale.store_id and day.source = sale.source
inner join core.sale_lines as line on sale.sale_id = line.sale_id
inner join core.products as product on line.product_id = product.product_id
group by sale.business_date, sale.store_id, sale.source, product.product_id, line.currency_code
