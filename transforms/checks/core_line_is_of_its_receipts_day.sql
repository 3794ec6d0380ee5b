-- One row per line of another day than its receipt. Reads core.sales, core.sale_lines, checked_days.
select
    sale.source || ' receipt ' || sale.receipt_number || ' line ' || line.line_number as key,
    format('%%s, the receipt %%s', line.business_date, sale.business_date) as found
from core.sales as sale
inner join checked_days as day
    on sale.business_date = day.business_date and sale.store_id = day.store_id and sale.source = day.source
inner join core.sale_lines as line on sale.sale_id = line.sale_id
where line.business_date <> sale.business_date and (%(known_at)s::timestamptz is null or sale.known_from = %(known_at)s)
