-- One row per business date, store, source, channel, currency and kind of customer, for the affected days.
-- Reads core.sales, marts.daily_customers, affected_kind_days. New is who bought for the first time ever on the day;
-- a known customer seen by a refund alone has bought before we knew.
with receipts as (
    select
        sale.business_date,
        sale.store_id,
        sale.source,
        coalesce(sale.channel, 'unknown') as channel,
        sale.currency_code,
        sale.event,
        sale.customer_id,
        sale.gross_amount,
        sale.discount_amount,
        sale.net_amount
    from affected_kind_days as day
    inner join core.sales as sale
        on
            day.business_date = sale.business_date
            and day.store_id = sale.store_id
            and day.source = sale.source
),

firsts as (
    select known.customer_id, min(known.first_purchase_on) as first_purchase_on
    from (select distinct customer_id from receipts) as seen
    inner join marts.daily_customers as known on seen.customer_id = known.customer_id
    group by known.customer_id
),

kinds as (
    select
        receipts.*,
        case
            when receipts.customer_id is null then 'unknown'
            when receipts.business_date = firsts.first_purchase_on then 'new'
            else 'returning'
        end as customer_kind
    from receipts
    left join firsts on receipts.customer_id = firsts.customer_id
)

select
    business_date,
    store_id,
    source,
    channel,
    currency_code,
    customer_kind,
    (count(*) filter (where event = 'sale'))::integer as ticket_count,
    sum(gross_amount) filter (where event = 'sale') as gross_amount,
    sum(discount_amount) filter (where event = 'sale') as discount_amount,
    coalesce(-sum(net_amount) filter (where event = 'refund'), 0) as refund_amount,
    sum(net_amount) as net_amount
from kinds
group by business_date, store_id, source, channel, currency_code, customer_kind
