-- One row per value of a dimension that occurs in the marts: what people may name in a question.
-- Reads marts.daily_store_sales, marts.daily_product_sales, marts.inventory_status, marts.data_freshness.
select
    'store' as dimension,
    store_id as value,
    min(store_name) as label
from marts.daily_store_sales
group by store_id
union
select
    'store' as dimension,
    store_id as value,
    min(store_name) as label
from marts.inventory_status
group by store_id
union
select
    'product' as dimension,
    product_name as value,
    product_name as label
from marts.daily_product_sales
union
select
    'product' as dimension,
    product_name as value,
    product_name as label
from marts.inventory_status
union
select
    'category' as dimension,
    category as value,
    category as label
from marts.daily_product_sales
where category is not null
union
select
    'category' as dimension,
    category as value,
    category as label
from marts.inventory_status
where category is not null
union
select
    'channel' as dimension,
    channel as value,
    channel as label
from marts.daily_store_sales
union
select
    'source' as dimension,
    source as value,
    title as label
from marts.data_freshness
union
select
    'customer_kind' as dimension,
    kind as value,
    kind || ' customers' as label
from (values ('new'), ('returning')) as known (kind)
