-- One row per receipt that differs from its lines. Reads core.sales, core.sale_lines, checked_days.
-- A receipt with a line of unknown amount has no amount itself.
with lines as (
    select
        line.sale_id,
        count(*) as line_count,
        case when count(*) = count(line.net_amount) then sum(line.gross_amount) end as gross_amount,
        case when count(*) = count(line.net_amount) then sum(line.discount_amount) end as discount_amount,
        case when count(*) = count(line.net_amount) then sum(line.net_amount) end as net_amount,
        sum(line.tax_amount) as tax_amount
    from core.sale_lines as line
    inner join core.sales as sale on line.sale_id = sale.sale_id
    inner join checked_days as day
        on sale.business_date = day.business_date and sale.store_id = day.store_id and sale.source = day.source
    group by line.sale_id
)

select
    sale.source || ' receipt ' || sale.receipt_number as key,
    format(
        'says %%s net on %%s lines, the lines say %%s on %%s',
        sale.net_amount,
        sale.line_count,
        lines.net_amount,
        coalesce(lines.line_count, 0)
    ) as found
from core.sales as sale
inner join checked_days as day
    on sale.business_date = day.business_date and sale.store_id = day.store_id and sale.source = day.source
left join lines on sale.sale_id = lines.sale_id
where
    (%(known_at)s::timestamptz is null or sale.known_from = %(known_at)s)
    and (sale.line_count, sale.gross_amount, sale.discount_amount, sale.net_amount, sale.tax_amount)
    is distinct from (lines.line_count, lines.gross_amount, lines.discount_amount, lines.net_amount, lines.tax_amount)
