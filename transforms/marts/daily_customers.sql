-- One row per business date, known customer, store, source, channel and currency with a purchase, for the affected
-- customers. Reads core.sales, affected_customers. A purchase that moves the first one changes all rows of the customer.
select
    sale.business_date,
    sale.customer_id,
    sale.store_id,
    sale.source,
    coalesce(sale.channel, 'unknown') as channel,
    sale.currency_code,
    count(*)::integer as ticket_count,
    sum(sale.net_amount) as net_amount,
    min(min(sale.business_date)) over (partition by sale.customer_id) as first_purchase_on
from (select distinct customer_id from affected_customers) as affected
inner join core.sales as sale on affected.customer_id = sale.customer_id
where sale.event = 'sale'
group by
    sale.business_date, sale.customer_id, sale.store_id, sale.source, coalesce(sale.channel, 'unknown'),
    sale.currency_code
