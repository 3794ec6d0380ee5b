-- One row per payment that several sales name. Reads core.sales.
select
    source || ' payment ' || payment_reference as key,
    format('receipts %%s', string_agg(receipt_number, ', ' order by receipt_number)) as found
from core.sales
where event = 'sale' and payment_reference is not null and business_date >= %(since)s
group by source, payment_reference
having count(*) > 1
