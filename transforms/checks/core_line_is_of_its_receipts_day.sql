-- One row per line of another day than its receipt. Reads core.sale_lines, checked_sales, checked_lines.
select
    sale.source || ' receipt ' || sale.receipt_number || ' line ' || line.line_number as key,
    format('%%s, the receipt %%s', line.business_date, sale.business_date) as found
from checked_lines as lines
inner join checked_sales as sale on lines.sale_id = sale.sale_id
inner join core.sale_lines as line on sale.sale_id = line.sale_id
where
    lines.other_day_count > 0
    and line.business_date <> sale.business_date
    and (%(known_at)s::timestamptz is null or sale.known_from = %(known_at)s)
