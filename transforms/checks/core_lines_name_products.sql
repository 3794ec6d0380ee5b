-- One row per store, source and day of the last 14 days with more than 2 percent of its lines without product, where the source
-- names products. Reads core.sales, core.sale_lines.
select
    sale.source || ' ' || sale.store_id || ' ' || sale.business_date as key,
    format('%%s of %%s lines name no product', count(*) filter (where line.product_id is null), count(*)) as found
from core.sales as sale
inner join core.sale_lines as line on sale.sale_id = line.sale_id
where sale.business_date between %(today)s - 14 and %(today)s
group by sale.source, sale.store_id, sale.business_date
having count(*) filter (where line.product_id is null) > greatest(2, count(*) * 0.02)
