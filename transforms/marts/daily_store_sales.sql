-- One row per business date, store, source, channel and currency, for the affected days.
-- Reads core.sales, core.sale_lines, core.stores, affected_days. Revenue is net of discounts and refunds, tax excluded.
with receipts as (
    select sale.*
    from core.sales as sale
    inner join affected_days as day
        on
            sale.business_date = day.business_date
            and sale.store_id = day.store_id
            and sale.source = day.source
),

items as (
    select
        line.sale_id,
        sum(line.quantity) as item_quantity,
        count(*) filter (where line.net_amount is null) as unknown_amount_line_count
    from core.sale_lines as line
    inner join receipts on line.sale_id = receipts.sale_id
    group by line.sale_id
)

select
    receipts.business_date,
    receipts.store_id,
    min(stores.store_name) as store_name,
    receipts.source,
    coalesce(receipts.channel, 'unknown') as channel,
    receipts.currency_code,
    (count(*) filter (where receipts.event = 'sale'))::integer as ticket_count,
    (count(*) filter (where receipts.event = 'refund'))::integer as refund_count,
    (count(distinct receipts.customer_id))::integer as customer_count,
    sum(items.item_quantity) as item_quantity,
    sum(receipts.gross_amount) filter (where receipts.event = 'sale') as gross_amount,
    sum(receipts.discount_amount) filter (where receipts.event = 'sale') as discount_amount,
    coalesce(-sum(receipts.net_amount) filter (where receipts.event = 'refund'), 0) as refund_amount,
    sum(receipts.net_amount) as net_amount,
    sum(receipts.tax_amount) as tax_amount,
    coalesce(sum(items.unknown_amount_line_count), 0)::integer as unknown_amount_line_count
from receipts
inner join core.stores as stores on receipts.store_id = stores.store_id
left join items on receipts.sale_id = items.sale_id
group by
    receipts.business_date, receipts.store_id, receipts.source, coalesce(receipts.channel, 'unknown'),
    receipts.currency_code
