-- One row per day, store, source and currency whose figures differ from the receipts. Reads marts.daily_store_sales,
-- checked_sales, checked_days.
with receipts as (
    select
        sale.business_date,
        sale.store_id,
        sale.source,
        sale.currency_code,
        count(*) filter (where sale.event = 'sale') as tickets,
        count(*) filter (where sale.event = 'refund') as refunds,
        sum(sale.net_amount) as net_amount,
        sum(sale.gross_amount) filter (where sale.event = 'sale') as gross_amount,
        sum(sale.discount_amount) filter (where sale.event = 'sale') as discount_amount,
        sum(sale.tax_amount) as tax_amount
    from checked_sales as sale
    group by sale.business_date, sale.store_id, sale.source, sale.currency_code
),

shown as (
    select
        mart.business_date,
        mart.store_id,
        mart.source,
        mart.currency_code,
        sum(mart.ticket_count) as tickets,
        sum(mart.refund_count) as refunds,
        sum(mart.net_amount) as net_amount,
        sum(mart.gross_amount) as gross_amount,
        sum(mart.discount_amount) as discount_amount,
        sum(mart.tax_amount) as tax_amount
    from marts.daily_store_sales as mart
    inner join checked_days as day
        on mart.business_date = day.business_date and mart.store_id = day.store_id and mart.source = day.source
    group by mart.business_date, mart.store_id, mart.source, mart.currency_code
)

select
    receipts.source || ' ' || receipts.store_id || ' ' || receipts.business_date as key,
    format(
        'shown %%s in %%s receipts, received %%s in %%s',
        shown.net_amount,
        shown.tickets,
        receipts.net_amount,
        receipts.tickets
    ) as found
from receipts
inner join shown
    on
        receipts.business_date = shown.business_date
        and receipts.store_id = shown.store_id
        and receipts.source = shown.source
        and receipts.currency_code = shown.currency_code
where
    (shown.tickets, shown.refunds, shown.net_amount, shown.gross_amount, shown.discount_amount, shown.tax_amount)
    is distinct from
    (
        receipts.tickets, receipts.refunds, receipts.net_amount, receipts.gross_amount, receipts.discount_amount,
        receipts.tax_amount
    )
