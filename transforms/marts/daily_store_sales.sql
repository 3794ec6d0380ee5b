-- One row per business date, store, source, channel and currency, for the affected days.
-- Reads affected_receipts, affected_items, core.stores. Revenue is net of discounts and refunds, tax excluded.
with receipts as (
    select
        business_date,
        store_id,
        source,
        channel,
        currency_code,
        (count(*) filter (where event = 'sale'))::integer as ticket_count,
        (count(*) filter (where event = 'refund'))::integer as refund_count,
        sum(gross_amount) filter (where event = 'sale') as gross_amount,
        sum(discount_amount) filter (where event = 'sale') as discount_amount,
        coalesce(-sum(net_amount) filter (where event = 'refund'), 0) as refund_amount,
        sum(net_amount) as net_amount,
        sum(tax_amount) as tax_amount
    from affected_receipts
    group by business_date, store_id, source, channel, currency_code
),

customers as (
    select
        business_date, store_id, source, channel, currency_code, count(*)::integer as customer_count
    from (
        select distinct business_date, store_id, source, channel, currency_code, customer_id
        from affected_receipts
        where customer_id is not null
    ) as customer
    group by business_date, store_id, source, channel, currency_code
),

items as (
    select
        business_date,
        store_id,
        source,
        channel,
        currency_code,
        sum(quantity) as item_quantity,
        sum(unknown_amount_line_count)::integer as unknown_amount_line_count
    from affected_items
    group by business_date, store_id, source, channel, currency_code
)

select
    receipts.business_date,
    receipts.store_id,
    stores.store_name,
    receipts.source,
    receipts.channel,
    receipts.currency_code,
    receipts.ticket_count,
    receipts.refund_count,
    coalesce(customers.customer_count, 0) as customer_count,
    items.item_quantity,
    receipts.gross_amount,
    receipts.discount_amount,
    receipts.refund_amount,
    receipts.net_amount,
    receipts.tax_amount,
    coalesce(items.unknown_amount_line_count, 0) as unknown_amount_line_count
from receipts
inner join core.stores as stores on receipts.store_id = stores.store_id
left join customers
    on
        receipts.business_date = customers.business_date
        and receipts.store_id = customers.store_id
        and receipts.source = customers.source
        and receipts.channel = customers.channel
        and receipts.currency_code = customers.currency_code
left join items
    on
        receipts.business_date = items.business_date
        and receipts.store_id = items.store_id
        and receipts.source = items.source
        and receipts.channel = items.channel
        and receipts.currency_code = items.currency_code
