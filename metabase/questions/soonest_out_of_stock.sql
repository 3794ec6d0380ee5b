-- One row per product and store, the 12 that run out soonest at the pace they are used.
-- Reads marts.inventory_status. What is not used up has no days of cover and is left out.
with soonest as (
    select
        product_id,
        store_id,
        product_name || ', ' || store_name as stock_name,
        days_of_cover,
        on_hand_quantity,
        unit,
        case when is_low then 'low' when reorder_level > 0 then 'enough' else 'no level' end as stock_state
    from marts.inventory_status
    where days_of_cover is not null
    order by days_of_cover, product_name, store_name, product_id, store_id
    limit 12
)

select
    stock_name
    || case
        when count(*) over (partition by stock_name) > 1
            then
                ' ('
                || row_number() over (partition by stock_name order by days_of_cover, product_id, store_id)
                || ')'
        else ''
    end as stock_name,
    days_of_cover,
    on_hand_quantity,
    unit,
    stock_state
from soonest
order by days_of_cover, stock_name
