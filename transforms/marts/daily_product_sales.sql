-- One row per business date, store, source, product and currency, for the affected days.
-- Reads affected_items, core.products. A receipt has one channel, so its tickets add up.
select
    item.business_date,
    item.store_id,
    item.source,
    product.product_id,
    min(product.product_name) as product_name,
    min(product.category) as category,
    item.line_currency_code as currency_code,
    sum(item.quantity) as quantity,
    sum(item.net_amount) as net_amount,
    sum(item.ticket_count)::integer as ticket_count
from affected_items as item
inner join core.products as product on item.product_id = product.product_id
group by item.business_date, item.store_id, item.source, product.product_id, item.line_currency_code
