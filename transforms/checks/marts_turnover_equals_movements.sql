-- One row per store, source and product whose newest month ends with another stock than its movements give.
-- Reads marts.inventory_turnover, core.stock_movements.
with newest as (
    select distinct on (store_id, source, product_id) store_id, source, product_id, month, closing_quantity
    from marts.inventory_turnover
    order by store_id asc, source asc, product_id asc, month desc
),

moved as (
    select store_id, source, product_id, sum(quantity) as quantity
    from core.stock_movements
    group by store_id, source, product_id
)

select
    newest.source || ' product ' || newest.product_id || ' at ' || newest.store_id as key,
    format(
        'shown %%s at the end of %%s, moved %%s',
        newest.closing_quantity,
        to_char(newest.month, 'YYYY-MM'),
        moved.quantity
    ) as found
from newest
inner join moved
    on
        newest.store_id = moved.store_id
        and newest.source = moved.source
        and newest.product_id = moved.product_id
where newest.closing_quantity <> moved.quantity
