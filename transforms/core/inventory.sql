-- One row per item the inventory system lists; one to one with the product. Reads stage_products.
select distinct on (product_key)
    core.key(%(catalogue)s, product_key) as product_id,
    product_key as sku,
    unit,
    unit_cost,
    reorder_level,
    case when supplier is not null then core.key(%(source)s, 'supplier', supplier) end as supplier_id,
    coalesce(is_active, true) as is_active,
    updated_at as source_updated_at,
    %(source)s as source,
    raw_id,
    load_id,
    updated_at as valid_from
from stage_products
order by product_key asc, updated_at desc nulls last, raw_id desc
