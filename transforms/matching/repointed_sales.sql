-- One row per sale whose customer is another person than until now. Reads matched_records, core.sales.
select
    sale.sale_id,
    matched.customer_id,
    matched.old_customer_id,
    sale.business_date,
    sale.store_id,
    sale.source
from matched_records as matched
inner join core.sales as sale
    on
        matched.old_customer_id = sale.customer_id
        and matched.source = sale.source
        and matched.source_customer_id = sale.source_customer_id
where matched.old_customer_id <> matched.customer_id
