-- One row per month, known customer, source and currency with a purchase in it, for the affected customers.
-- Reads core.sales, affected_customers. A customer is new in the month of the first purchase ever, at any source.
select
    date_trunc('month', sale.business_date)::date as month,
    sale.customer_id,
    sale.source,
    sale.currency_code,
    count(*)::integer as ticket_count,
    sum(sale.net_amount) as net_amount,
    min(min(sale.business_date)) over (partition by sale.customer_id) as first_purchase_on,
    max(sale.business_date) as last_purchase_on,
    date_trunc('month', min(min(sale.business_date)) over (partition by sale.customer_id))
    = date_trunc('month', sale.business_date) as is_new
from (select distinct customer_id from affected_customers) as affected
inner join core.sales as sale on affected.customer_id = sale.customer_id
where sale.event = 'sale'
group by date_trunc('month', sale.business_date), sale.customer_id, sale.source, sale.currency_code
