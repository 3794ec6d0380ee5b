-- One row per moment, store and source that sold in the four weeks before: hours in which it usually sells and has not.
-- The compiler can't say it: its metrics know days and no hours, and a day is over when it is too late.
-- Reads moments, marts.hourly_store_sales, marts.data_freshness. Usual is an hour of the weekday with sales in at least
-- three of the last four weeks. Counted from the last sale up to the newest record of the source: what a source has
-- not told yet is no silence of the store.
with known as (
    select
        moments.moment,
        sales.store_id,
        sales.source,
        max(sales.store_name) as store_name,
        max(sales.time_zone) as time_zone,
        max(sales.last_sold_at) as last_sold_at
    from moments
    inner join marts.hourly_store_sales as sales
        on sales.business_date between moments.day - 28 and moments.day and sales.last_sold_at < moments.moment
    group by moments.moment, sales.store_id, sales.source
),

usual as (
    select
        moments.moment,
        sales.store_id,
        sales.source,
        extract(isodow from sales.local_hour) as weekday,
        sales.local_hour::time as opens_at
    from moments
    inner join marts.hourly_store_sales as sales
        on sales.business_date between moments.day - 28 and moments.day and sales.last_sold_at < moments.moment
    group by
        moments.moment, sales.store_id, sales.source, extract(isodow from sales.local_hour), sales.local_hour::time
    having count(distinct sales.local_hour::date) >= 3
),

silent as (
    select
        known.moment,
        known.store_id,
        known.source,
        count(*) as hour_count
    from known
    inner join marts.data_freshness as source on known.source = source.source
    inner join usual
        on known.moment = usual.moment and known.store_id = usual.store_id and known.source = usual.source
    cross join
        lateral generate_series(
            (known.last_sold_at at time zone known.time_zone)::date::timestamp,
            (known.moment at time zone known.time_zone)::date::timestamp,
            interval '1 day'
        ) as days (day)
    where
        extract(isodow from days.day) = usual.weekday
        and (days.day::date + usual.opens_at) at time zone known.time_zone > known.last_sold_at
        and (days.day::date + usual.opens_at) at time zone known.time_zone + interval '1 hour'
        <= least(known.moment, source.last_record_at)
    group by known.moment, known.store_id, known.source
)

select
    known.moment,
    known.store_id as store,
    known.source as till,
    known.store_name as title,
    coalesce(silent.hour_count, 0)::numeric as value,
    known.source
from known
left join silent
    on known.moment = silent.moment and known.store_id = silent.store_id and known.source = silent.source
