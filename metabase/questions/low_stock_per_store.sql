-- One row per store that keeps stock: how many of its products are low.
-- Reads marts.inventory_status.
select
    max(store_name)
    || case
        when count(*) over (partition by max(store_name)) > 1 then ' (' || store_id || ')' else ''
    end as store_name,
    count(*) filter (where is_low) as low_stock_count,
    count(*) as stock_count,
    store_id
from marts.inventory_status
group by store_id
order by count(*) filter (where is_low) desc, store_id asc
