-- One row per load that receipts name and that is not loaded. Reads core.sales, ops.loads.
select
    'load ' || sale.load_id as key,
    format('%%s receipts, the load is %%s', count(*), coalesce(max(load.status), 'not known')) as found
from core.sales as sale
left join ops.loads as load on sale.load_id = load.load_id
where
    sale.business_date >= %(since)s
    and load.status is distinct from 'loaded'
    and load.status is distinct from 'received'
group by sale.load_id
