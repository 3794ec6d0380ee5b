-- One row per receipt of the affected days, with what the marts of days read of it. Reads affected_days, core.sales. No
-- table of its own: several marts read it, and so the receipts are looked for once.
select
    sale.sale_id,
    sale.business_date,
    sale.store_id,
    sale.source,
    coalesce(sale.channel, 'unknown') as channel,
    sale.currency_code,
    sale.event,
    sale.customer_id,
    sale.gross_amount,
    sale.discount_amount,
    sale.net_amount,
    sale.tax_amount
from affected_days as day
inner join core.sales as sale
    on day.business_date = sale.business_date and day.store_id = sale.store_id and day.source = sale.source
