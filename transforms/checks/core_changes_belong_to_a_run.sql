-- One row per moment receipts became known that is no run's. Reads core.sales, ops.runs.
select
    to_char(sale.known_from at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as key,
    format('%%s receipts, such as %%s', count(*), min(sale.receipt_number)) as found
from core.sales as sale
where
    sale.business_date >= %(since)s
    and not exists (select from ops.runs as run where run.known_at = sale.known_from)
group by sale.known_from
