-- One row per business date, store, source, channel, currency of the receipt, product and currency of the line, of the
-- affected days. Reads affected_receipts, core.sale_lines. No table of its own: the marts of days and of products read
-- it, and so the lines are read once. Two lines of one product in one receipt are one ticket of the product.
with lines as (
    select
        receipt.business_date,
        receipt.store_id,
        receipt.source,
        receipt.channel,
        receipt.currency_code,
        receipt.sale_id,
        receipt.event,
        line.product_id,
        line.currency_code as line_currency_code,
        line.quantity,
        line.net_amount
    from affected_receipts as receipt
    inner join core.sale_lines as line on receipt.sale_id = line.sale_id
),

items as (
    select
        business_date,
        store_id,
        source,
        channel,
        currency_code,
        product_id,
        line_currency_code,
        sum(quantity) as quantity,
        sum(net_amount) as net_amount,
        count(*) filter (where net_amount is null) as unknown_amount_line_count
    from lines
    group by business_date, store_id, source, channel, currency_code, product_id, line_currency_code
),

tickets as (
    select
        business_date,
        store_id,
        source,
        channel,
        currency_code,
        product_id,
        line_currency_code,
        count(*) as ticket_count
    from (
        select distinct
            business_date, store_id, source, channel, currency_code, product_id, line_currency_code, sale_id
        from lines
        where event = 'sale' and product_id is not null
    ) as ticket
    group by business_date, store_id, source, channel, currency_code, product_id, line_currency_code
)

select
    items.business_date,
    items.store_id,
    items.source,
    items.channel,
    items.currency_code,
    items.product_id,
    items.line_currency_code,
    items.quantity,
    items.net_amount,
    items.unknown_amount_line_count,
    coalesce(tickets.ticket_count, 0) as ticket_count
from items
left join tickets
    on
        items.business_date = tickets.business_date
        and items.store_id = tickets.store_id
        and items.source = tickets.source
        and items.channel = tickets.channel
        and items.currency_code = tickets.currency_code
        and items.product_id = tickets.product_id
        and items.line_currency_code = tickets.line_currency_code
