-- One row per supplier named by an item or a delivery of the batch; the latest spelling of the name wins.
select distinct on (supplier)
    core.key(%(source)s, 'supplier', supplier) as supplier_id,
    coalesce(supplier_name, supplier) as supplier_name,
    %(source)s as source,
    supplier as source_supplier_id,
    raw_id,
    load_id
from (
    select supplier, supplier_name, raw_id, load_id from stage_products
    union all
    select supplier, supplier_name, raw_id, load_id from stage_deliveries
) as named
where supplier is not null
order by supplier asc, raw_id desc
