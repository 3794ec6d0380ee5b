-- One row per day, store, source and currency that only one side has. Reads marts.daily_store_sales,
-- checked_sales, checked_days.
with receipts as (
    select distinct sale.business_date, sale.store_id, sale.source, sale.currency_code
    from checked_sales as sale
),

shown as (
    select distinct mart.business_date, mart.store_id, mart.source, mart.currency_code
    from marts.daily_store_sales as mart
    inner join checked_days as day
        on mart.business_date = day.business_date and mart.store_id = day.store_id and mart.source = day.source
)

select
    coalesce(receipts.source, shown.source) || ' ' || coalesce(receipts.store_id, shown.store_id) || ' '
    || coalesce(receipts.business_date, shown.business_date) as key,
    case when shown.source is null then 'it has receipts and is not shown' else 'it is shown and has no receipts' end
        as found
from receipts
full join shown
    on
        receipts.business_date = shown.business_date
        and receipts.store_id = shown.store_id
        and receipts.source = shown.source
        and receipts.currency_code = shown.currency_code
where receipts.source is null or shown.source is null
