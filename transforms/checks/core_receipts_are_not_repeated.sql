-- One row per store, source and day with three receipts or more that repeat another one. Reads core.sales.
with alike as (
    select source, store_id, business_date, count(*) - 1 as repeats
    from core.sales
    where event = 'sale' and business_date >= %(since)s and net_amount is not null
    group by source, store_id, business_date, sold_at, net_amount, line_count
    having count(*) > 1 and mod(extract(epoch from max(sold_at)), 900) <> 0
)

select
    source || ' ' || store_id || ' ' || business_date as key,
    format('%%s receipts repeat another one', sum(repeats)) as found
from alike
group by source, store_id, business_date
having sum(repeats) >= 3
