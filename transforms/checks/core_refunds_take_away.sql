-- One row per refund or void above zero. Reads core.sales, checked_days.
select
    sale.source || ' receipt ' || sale.receipt_number as key,
    format('a %%s of %%s', sale.event, sale.net_amount) as found
from core.sales as sale
inner join checked_days as day
    on sale.business_date = day.business_date and sale.store_id = day.store_id and sale.source = day.source
where sale.event in ('refund', 'void') and sale.net_amount > 0
