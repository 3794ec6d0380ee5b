-- One row per store, source and day of the last 14 days with 10 percent or more of its lines rebuilt or unknown.
-- Reads core.sales, core.sale_lines.
select
    sale.store_id || ' ' || sale.business_date as key,
    format('%%s of %%s lines', count(*) filter (where line.amount_origin <> 'received'), count(*)) as found
from core.sales as sale
inner join core.sale_lines as line on sale.sale_id = line.sale_id
where sale.business_date between %(today)s - 14 and %(today)s
group by sale.store_id, sale.source, sale.business_date
having count(*) filter (where line.amount_origin <> 'received') >= greatest(3, count(*) * 0.1)
