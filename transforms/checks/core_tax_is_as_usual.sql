-- One row per store, source and day of the last 14 days with a tax share more than 2 points off the 60 days before.
-- Reads core.sales.
with days as (
    select source, store_id, business_date, sum(tax_amount) / nullif(sum(net_amount), 0) as share
    from core.sales
    where
        event = 'sale'
        and net_amount > 0
        and tax_amount is not null
        and business_date between %(today)s - 74 and %(today)s
    group by source, store_id, business_date
    having count(*) >= 5
),

usual as (
    select source, store_id, percentile_cont(0.5) within group (order by share) as share
    from days
    where business_date < %(today)s - 14
    group by source, store_id
    having count(*) >= 7
)

select
    days.source || ' ' || days.store_id || ' ' || days.business_date as key,
    format('%%s %%%% tax, usually %%s %%%%', round(days.share * 100, 1), round(usual.share::numeric * 100, 1)) as found
from days
inner join usual on days.source = usual.source and days.store_id = usual.store_id
where days.business_date >= %(today)s - 14 and abs(days.share - usual.share) > 0.02
