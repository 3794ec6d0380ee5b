-- One row per business date, store, source, channel, currency and kind of customer, for the affected days.
-- Reads core.sales, marts.daily_customers, affected_kind_days. New is who bought for the first time ever on the day;
-- a known customer seen by a refund alone has bought before we knew.
with receipts as (
    select
        sale.*,
        case
            when sale.customer_id is null then 'unknown'
            when sale.business_date = (
                select min(known.first_purchase_on) from marts.daily_customers as known
                where known.customer_id = sale.customer_id
            ) then 'new'
            else 'returning'
        end as customer_kind
    from affected_kind_days as day
    inner join core.sales as sale
        on
            day.business_date = sale.business_date
            and day.store_id = sale.store_id
            and day.source = sale.source
)

select
    business_date,
    store_id,
    source,
    coalesce(channel, 'unknown') as channel,
    currency_code,
    customer_kind,
    (count(*) filter (where event = 'sale'))::integer as ticket_count,
    sum(gross_amount) filter (where event = 'sale') as gross_amount,
    sum(discount_amount) filter (where event = 'sale') as discount_amount,
    coalesce(-sum(net_amount) filter (where event = 'refund'), 0) as refund_amount,
    sum(net_amount) as net_amount
from receipts
group by business_date, store_id, source, coalesce(channel, 'unknown'), currency_code, customer_kind
