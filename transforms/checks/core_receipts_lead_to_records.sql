-- One row per receipt without its raw record. Reads core.sales, raw_pos.sale_lines, raw_pos.orders.
select
    sale.source || ' receipt ' || sale.receipt_number as key,
    format('record %%s is not there', sale.raw_id) as found
from core.sales as sale
left join raw_pos.sale_lines as line on sale.raw_id = line.raw_id
left join raw_pos.orders as api_order on sale.raw_id = api_order.raw_id
where sale.business_date >= %(since)s and line.raw_id is null and api_order.raw_id is null
