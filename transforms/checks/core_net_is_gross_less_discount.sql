-- One row per line whose three amounts do not agree to two cents. Reads core.sale_lines, core.sales.
-- Where the amounts received hold the tax, gross holds it too, so net may be less by the tax as well.
select
    sale.source || ' receipt ' || sale.receipt_number || ' line ' || line.line_number as key,
    format('%%s gross, %%s discount, %%s net', line.gross_amount, line.discount_amount, line.net_amount) as found
from core.sale_lines as line
inner join core.sales as sale on line.sale_id = sale.sale_id
where
    line.business_date >= %(since)s
    and line.amount_origin = 'received'
    and abs(line.gross_amount - coalesce(line.discount_amount, 0) - line.net_amount) > 0.02
    and abs(line.gross_amount - coalesce(line.discount_amount, 0) - line.net_amount - line.tax_amount) > 0.02
