-- One row per store, source and day of the last 14 days with more than 40 percent of its receipts in hours that hold less than
-- 1 percent of the 60 days before. Reads core.sales, core.stores.
with receipts as (
    select
        sale.source,
        sale.store_id,
        sale.business_date,
        extract(hour from sale.sold_at at time zone store.time_zone) as hour
    from core.sales as sale
    inner join core.stores as store on sale.store_id = store.store_id
    where sale.event = 'sale' and sale.business_date between %(today)s - 74 and %(today)s
),

hours as (
    select source, store_id, hour, count(*) / sum(count(*)) over (partition by source, store_id) as share
    from receipts
    where business_date < %(today)s - 14
    group by source, store_id, hour
),

known as (
    select source, store_id
    from receipts
    where business_date < %(today)s - 14
    group by source, store_id
    having count(distinct business_date) >= 7
)

select
    receipts.source || ' ' || receipts.store_id || ' ' || receipts.business_date as key,
    format(
        '%%s of %%s receipts outside the usual hours', count(*) filter (where coalesce(hours.share, 0) < 0.01), count(*)
    ) as found
from receipts
inner join known on receipts.source = known.source and receipts.store_id = known.store_id
left join hours
    on receipts.source = hours.source and receipts.store_id = hours.store_id and receipts.hour = hours.hour
where receipts.business_date >= %(today)s - 14
group by receipts.source, receipts.store_id, receipts.business_date
having count(*) >= 5 and count(*) filter (where coalesce(hours.share, 0) < 0.01) > count(*) * 0.4
