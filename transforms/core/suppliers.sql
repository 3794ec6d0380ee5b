-- One row per supplier named by an item or a delivery of the batch, spelled as it was told last; an older item or
-- delivery never replaces a newer one. Reads stage_products, stage_deliveries, core.suppliers.
select distinct on (named.supplier)
    core.key(%(source)s, 'supplier', named.supplier) as supplier_id,
    coalesce(named.supplier_name, named.supplier) as supplier_name,
    %(source)s as source,
    named.supplier as source_supplier_id,
    named.told_at as source_updated_at,
    named.raw_id,
    named.load_id
from (
    select supplier, supplier_name, updated_at as told_at, raw_id, load_id from stage_products
    union all
    select supplier, supplier_name, delivered_at as told_at, raw_id, load_id from stage_deliveries
) as named
left join core.suppliers as known on core.key(%(source)s, 'supplier', named.supplier) = known.supplier_id
where
    named.supplier is not null
    and core.may_replace(named.told_at, named.raw_id, known.source_updated_at, known.raw_id)
order by named.supplier asc, named.told_at desc nulls last, named.raw_id desc
