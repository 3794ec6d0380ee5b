-- One row per current row that began before its last closed version ended. Reads core and core_history of sales, stores,
-- products, customers, stock_levels, inventory.
with versions as (
    select 'sale ' || now_known.sale_id as key, closed.known_to, now_known.known_from
    from core.sales as now_known
    inner join core_history.sales_versions as closed on now_known.sale_id = closed.sale_id
    union all
    select 'store ' || now_known.store_id as key, closed.known_to, now_known.known_from
    from core.stores as now_known
    inner join core_history.stores_versions as closed on now_known.store_id = closed.store_id
    union all
    select 'product ' || now_known.product_id as key, closed.known_to, now_known.known_from
    from core.products as now_known
    inner join core_history.products_versions as closed on now_known.product_id = closed.product_id
    union all
    select 'customer ' || now_known.customer_id as key, closed.known_to, now_known.known_from
    from core.customers as now_known
    inner join core_history.customers_versions as closed on now_known.customer_id = closed.customer_id
    union all
    select 'item ' || now_known.product_id as key, closed.known_to, now_known.known_from
    from core.inventory as now_known
    inner join core_history.inventory_versions as closed on now_known.product_id = closed.product_id
    union all
    select
        'stock of ' || now_known.product_id || ' at ' || now_known.store_id as key,
        closed.known_to,
        now_known.known_from
    from core.stock_levels as now_known
    inner join core_history.stock_levels_versions as closed
        on now_known.product_id = closed.product_id and now_known.store_id = closed.store_id
)

select
    key,
    format('known since %%s, an older version until %%s', known_from, known_to) as found
from versions
where known_to > known_from
