-- One row per receipt that differs from its lines. Reads checked_sales, checked_lines.
select
    sale.source || ' receipt ' || sale.receipt_number as key,
    format(
        'says %%s net on %%s lines, the lines say %%s on %%s',
        sale.net_amount,
        sale.line_count,
        lines.net_amount,
        coalesce(lines.line_count, 0)
    ) as found
from checked_sales as sale
left join checked_lines as lines on sale.sale_id = lines.sale_id
where
    (%(known_at)s::timestamptz is null or sale.known_from = %(known_at)s)
    and (sale.line_count, sale.gross_amount, sale.discount_amount, sale.net_amount, sale.tax_amount)
    is distinct from (lines.line_count, lines.gross_amount, lines.discount_amount, lines.net_amount, lines.tax_amount)
