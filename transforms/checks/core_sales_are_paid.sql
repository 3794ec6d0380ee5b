-- One row per store, source and day of the last 14 days with fewer payments than the 60 days before lead to expect.
-- Reads core.sales, core.payments.
with days as (
    select
        sale.source,
        sale.store_id,
        sale.business_date,
        count(*) as receipts,
        count(*) filter (where exists (select from core.payments as pay where pay.sale_id = sale.sale_id)) as paid
    from core.sales as sale
    where sale.event = 'sale' and sale.business_date between %(today)s - 74 and %(today)s
    group by sale.source, sale.store_id, sale.business_date
),

usual as (
    select source, store_id, sum(paid) / sum(receipts) as share
    from days
    where business_date < %(today)s - 14
    group by source, store_id
    having count(*) >= 7
)

select
    days.source || ' ' || days.store_id || ' ' || days.business_date as key,
    format('%%s of %%s receipts paid, usually %%s %%%%', days.paid, days.receipts, round(usual.share * 100)) as found
from days
inner join usual on days.source = usual.source and days.store_id = usual.store_id
where days.business_date >= %(today)s - 14 and days.receipts >= 5 and days.paid < days.receipts * (usual.share - 0.25)
