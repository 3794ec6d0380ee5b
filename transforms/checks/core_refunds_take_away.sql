-- One row per refund or void above zero. Reads checked_sales.
select
    sale.source || ' receipt ' || sale.receipt_number as key,
    format('a %%s of %%s', sale.event, sale.net_amount) as found
from checked_sales as sale
where sale.event in ('refund', 'void') and sale.net_amount > 0
