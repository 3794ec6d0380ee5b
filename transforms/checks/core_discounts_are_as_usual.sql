-- One row per store, source and day of the last 14 days whose discounts are 15 points above the greatest share of the 60
-- days before. Reads core.sales.
with days as (
    select source, store_id, business_date, sum(discount_amount) / nullif(sum(gross_amount), 0) as share
    from core.sales
    where event = 'sale' and gross_amount > 0 and business_date between %(today)s - 74 and %(today)s
    group by source, store_id, business_date
    having count(*) >= 5
),

usual as (
    select source, store_id, max(share) as share
    from days
    where business_date < %(today)s - 14
    group by source, store_id
    having count(*) >= 7
)

select
    days.source || ' ' || days.store_id || ' ' || days.business_date as key,
    format('%%s %%%% off, before at most %%s %%%%', round(days.share * 100, 1), round(usual.share * 100, 1)) as found
from days
inner join usual on days.source = usual.source and days.store_id = usual.store_id
where days.business_date >= %(today)s - 14 and days.share > usual.share + 0.15
