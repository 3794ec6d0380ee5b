-- One row per source and day of the last 14 days on which a column of the receipts is filled far less than usual.
-- Reads core.sales. Usual is the share of the 60 days before; less than half of it is far less.
with days as (
    select
        source,
        business_date,
        count(*) as receipts,
        count(
            case %(column)s
                when 'employee_id' then employee_id::text
                when 'customer_id' then customer_id::text
                when 'channel' then channel
                when 'tax_amount' then tax_amount::text
            end
        ) as filled
    from core.sales
    where event = 'sale' and business_date between %(today)s - 74 and %(today)s
    group by source, business_date
),

usual as (
    select source, sum(filled) / sum(receipts) as share
    from days
    where business_date < %(today)s - 14
    group by source
    having count(*) >= 7
)

select
    days.source || ' ' || days.business_date as key,
    format('%%s of %%s receipts, usually %%s %%%%', days.filled, days.receipts, round(usual.share * 100)) as found
from days
inner join usual on days.source = usual.source
where
    days.business_date >= %(today)s - 14
    and days.receipts >= 10
    and usual.share >= 0.1
    and days.filled < days.receipts * usual.share / 2
