-- One row per receipt whose person is not its customer number's. Reads core.sales, core.customer_sources.
select
    sale.source || ' receipt ' || sale.receipt_number as key,
    format('customer %%s, by its number %%s', sale.customer_id, record.customer_id) as found
from core.sales as sale
inner join core.customer_sources as record
    on sale.source = record.source and sale.source_customer_id = record.source_customer_id
where sale.business_date >= %(since)s and sale.customer_id is distinct from record.customer_id
