-- One row per month, store, source and product to be worked out anew: from the first month a movement of the batch is
-- or was in; when the newest month of the source is another, the months after the older of the two for everything; and
-- all months while the mart has none. Reads affected_stock_days, core.stock_movements, marts.inventory_turnover (as it
-- was before the batch). No table of its own: what marts.inventory_turnover replaces.
with newest as (
    select
        date_trunc('month', max(move.business_date))::date as month_now,
        coalesce(
            (select max(known.month) from marts.inventory_turnover as known where known.source = %(source)s),
            '-infinity'
        ) as month_before
    from core.stock_movements as move
    where move.source = %(source)s
),

since as (
    select store_id, source, product_id, date_trunc('month', min(business_date))::date as month
    from affected_stock_days
    group by store_id, source, product_id
    union all
    select
        known.store_id,
        known.source,
        known.product_id,
        (least(newest.month_now, newest.month_before) + interval '1 month')::date as month
    from newest
    inner join marts.inventory_turnover as known on newest.month_before = known.month
    where known.source = %(source)s and newest.month_now is distinct from newest.month_before
    union all
    select
        move.store_id,
        move.source,
        move.product_id,
        date_trunc('month', min(move.business_date))::date as month
    from newest
    inner join core.stock_movements as move on move.source = %(source)s
    where newest.month_before = '-infinity'
    group by move.store_id, move.source, move.product_id
)

select distinct
    months.month::date as month,
    since.store_id,
    since.source,
    since.product_id
from since
cross join newest
cross join
    lateral generate_series(since.month, greatest(newest.month_now, newest.month_before), interval '1 month')
        as months (month)
