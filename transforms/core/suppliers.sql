-- One row per supplier named by an item or a delivery of the batch; the spelling received last wins.
-- Reads stage_products, stage_deliveries, core.suppliers.
select distinct on (named.supplier)
    core.key(%(source)s, 'supplier', named.supplier) as supplier_id,
    coalesce(named.supplier_name, named.supplier) as supplier_name,
    %(source)s as source,
    named.supplier as source_supplier_id,
    named.raw_id,
    named.load_id
from (
    select supplier, supplier_name, raw_id, load_id from stage_products
    union all
    select supplier, supplier_name, raw_id, load_id from stage_deliveries
) as named
left join core.suppliers as known on core.key(%(source)s, 'supplier', named.supplier) = known.supplier_id
where named.supplier is not null and (known.supplier_id is null or named.raw_id >= known.raw_id)
order by named.supplier asc, named.raw_id desc
