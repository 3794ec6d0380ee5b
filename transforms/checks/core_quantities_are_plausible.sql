-- One row per line of more than 1,000 pieces that is also a hundred times what is usual of its source.
-- Reads core.sale_lines, core.sales.
with usual as (
    select sale.source, percentile_cont(0.99) within group (order by abs(line.quantity)) as quantity
    from core.sale_lines as line
    inner join core.sales as sale on line.sale_id = sale.sale_id
    where line.business_date >= %(since)s
    group by sale.source
)

select
    sale.source || ' receipt ' || sale.receipt_number || ' line ' || line.line_number as key,
    format('%%s pieces', line.quantity) as found
from core.sale_lines as line
inner join core.sales as sale on line.sale_id = sale.sale_id
inner join usual on sale.source = usual.source
where line.business_date >= %(since)s and abs(line.quantity) > 1000 and abs(line.quantity) > usual.quantity * 100
