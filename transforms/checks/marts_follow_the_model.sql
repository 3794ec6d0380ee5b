-- One row per source whose figures end before its receipts. Reads core.sales, marts.daily_store_sales.
with receipts as (
    select source, max(business_date) as business_date
    from core.sales
    group by source
),

shown as (
    select source, max(business_date) as business_date
    from marts.daily_store_sales
    group by source
)

select
    receipts.source as key,
    format('receipts up to %%s, figures up to %%s', receipts.business_date, shown.business_date) as found
from receipts
left join shown on receipts.source = shown.source
where shown.business_date is distinct from receipts.business_date
