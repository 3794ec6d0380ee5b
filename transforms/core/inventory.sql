-- One row per item the inventory system lists; one to one with the product. An older version, or one received earlier,
-- never replaces a newer one. Reads stage_products, core.inventory.
select distinct on (item.product_key)
    core.key(%(catalogue)s, item.product_key) as product_id,
    item.product_key as sku,
    item.unit,
    item.unit_cost,
    item.reorder_level,
    case when item.supplier is not null then core.key(%(source)s, 'supplier', item.supplier) end as supplier_id,
    coalesce(item.is_active, true) as is_active,
    item.updated_at as source_updated_at,
    %(source)s as source,
    item.raw_id,
    item.load_id,
    item.updated_at as valid_from
from stage_products as item
left join core.inventory as known on core.key(%(catalogue)s, item.product_key) = known.product_id
where core.may_replace(item.updated_at, item.raw_id, known.source_updated_at, known.raw_id)
order by item.product_key asc, item.updated_at desc nulls last, item.raw_id desc
