-- One row per product and store: how often its stock turned over in the newest whole month, slowest first.
-- Reads marts.inventory_turnover, and marts.waste and marts.daily_store_sales to tell whether it is over.
with newest as (
    select max(month) as newest_month
    from marts.inventory_turnover
),

days as (
    select max(business_date) as business_date
    from (
        select business_date from marts.waste
        union all
        select business_date from marts.daily_store_sales
    ) as known
),

whole as (
    select
        case
            when days.business_date >= newest.newest_month + interval '1 month' - interval '1 day'
                then newest.newest_month
            else (newest.newest_month - interval '1 month')::date
        end as whole_month
    from newest
    cross join days
)

select
    turnover.product_name,
    turnover.store_name,
    round(turnover.turnover, 2) as turnover,
    turnover.average_quantity,
    turnover.sold_quantity + turnover.used_quantity as used_quantity,
    turnover.waste_quantity,
    turnover.unit,
    turnover.month
from whole
inner join marts.inventory_turnover as turnover on whole.whole_month = turnover.month
where turnover.average_quantity <> 0 or turnover.sold_quantity <> 0 or turnover.used_quantity <> 0
order by
    turnover.turnover asc nulls last,
    turnover.product_name asc,
    turnover.store_name asc,
    turnover.product_id asc,
    turnover.store_id asc
