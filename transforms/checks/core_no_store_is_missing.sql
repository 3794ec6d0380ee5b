-- One row per store, source and day of the last 14 without receipts, on which the source told of other stores and on
-- whose weekday the store sold in each of the four weeks before. Reads core.sales.
with days as (
    select distinct source, store_id, business_date
    from core.sales
    where event = 'sale' and business_date between %(today)s - 49 and %(today)s - 1
),

asked as (
    select stores.source, stores.store_id, told.business_date
    from (select distinct source, store_id from days) as stores
    inner join (select distinct source, business_date from days where business_date >= %(today)s - 14) as told
        on stores.source = told.source
)

select
    asked.source || ' ' || asked.store_id || ' ' || asked.business_date as key,
    'no receipt, though it sold on this weekday in each of the four weeks before' as found
from asked
inner join days as before
    on
        asked.source = before.source
        and asked.store_id = before.store_id
        and before.business_date in (
            asked.business_date - 7, asked.business_date - 14, asked.business_date - 21, asked.business_date - 28
        )
where
    not exists (
        select
        from days
        where
            days.source = asked.source
            and days.store_id = asked.store_id
            and days.business_date = asked.business_date
    )
group by asked.source, asked.store_id, asked.business_date
having count(*) = 4
