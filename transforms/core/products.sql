-- One row per product named in the batch. Reads stage_products (the source's list), stage_sale_lines, the stock stages
-- and core.products. The newest version of a product list knows the name best; else the name on the newest sale counts,
-- whatever arrives first.
with listed as (
    select distinct on (item.product_key) item.*
    from stage_products as item
    left join core.products as known
        on core.key(%(catalogue)s, item.product_key) = known.product_id and known.is_master
    where core.may_replace(item.updated_at, item.raw_id, known.source_updated_at, known.raw_id)
    order by item.product_key asc, item.updated_at desc nulls last, item.raw_id desc
),

sold as (
    select distinct on (line.product_key)
        line.product_key, line.product_name, line.category, line.currency_code, line.sold_at, line.raw_id, line.load_id
    from stage_sale_lines as line
    inner join (
        select product_key, max(sold_at) as sold_at
        from stage_sale_lines
        where product_key is not null
        group by product_key
    ) as newest on line.product_key = newest.product_key and line.sold_at = newest.sold_at
    order by line.product_key asc, line.raw_id desc
),

stocked as (
    select product_key, min(raw_id) as raw_id, min(load_id) as load_id
    from (
        select product_key, raw_id, load_id from stage_stock_levels
        union all
        select product_key, raw_id, load_id from stage_stock_movements
        union all
        select product_key, raw_id, load_id from stage_deliveries
    ) as mentioned
    group by product_key
),

named as (
    select product_key from listed
    union
    select product_key from sold
    union
    select product_key from stocked
)

select
    core.key(%(catalogue)s, named.product_key) as product_id,
    %(catalogue)s as catalogue,
    named.product_key,
    coalesce(
        listed.product_name,
        case when known.is_master then known.product_name end,
        case when sold.sold_at >= coalesce(known.named_at, '-infinity') then sold.product_name end,
        known.product_name,
        sold.product_name,
        named.product_key
    ) as product_name,
    coalesce(
        listed.category,
        case when known.is_master then known.category end,
        case when sold.sold_at >= coalesce(known.named_at, '-infinity') then sold.category end,
        known.category,
        sold.category
    ) as category,
    coalesce(listed.kind, known.kind, 'sold') as kind,
    coalesce(listed.unit, known.unit) as unit,
    coalesce(listed.list_price, known.list_price) as list_price,
    coalesce(known.currency_code, sold.currency_code, %(currency_code)s) as currency_code,
    listed.product_key is not null or coalesce(known.is_master, false) as is_master,
    greatest(known.named_at, sold.sold_at) as named_at,
    coalesce(listed.updated_at, known.source_updated_at) as source_updated_at,
    coalesce(known.source, %(source)s) as source,
    coalesce(listed.raw_id, known.raw_id, sold.raw_id, stocked.raw_id) as raw_id,
    coalesce(listed.load_id, known.load_id, sold.load_id, stocked.load_id) as load_id
from named
left join listed on named.product_key = listed.product_key
left join sold on named.product_key = sold.product_key
left join stocked on named.product_key = stocked.product_key
left join core.products as known on core.key(%(catalogue)s, named.product_key) = known.product_id
