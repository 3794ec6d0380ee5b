-- One row per line with a discount above its gross amount, or below zero. Reads core.sale_lines, core.sales.
select
    sale.source || ' receipt ' || sale.receipt_number || ' line ' || line.line_number as key,
    format('%%s off %%s', line.discount_amount, line.gross_amount) as found
from core.sale_lines as line
inner join core.sales as sale on line.sale_id = sale.sale_id
where
    line.business_date >= %(since)s
    and sale.event = 'sale'
    and line.gross_amount >= 0
    and (line.discount_amount > line.gross_amount or line.discount_amount < 0)
