-- One row per line without its raw record. Reads core.sale_lines, raw_pos.sale_lines, raw_pos.orders.
select
    'sale ' || line.sale_id || ' line ' || line.line_number as key,
    format('record %%s is not there', line.raw_id) as found
from core.sale_lines as line
left join raw_pos.sale_lines as record on line.raw_id = record.raw_id
left join raw_pos.orders as api_order on line.raw_id = api_order.raw_id
where line.business_date >= %(since)s and record.raw_id is null and api_order.raw_id is null
