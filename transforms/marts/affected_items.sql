-- One row per business date, store, source, channel, currency of the receipt, product and currency of the line, of the
-- affected days. Reads affected_receipts, core.sale_lines. No table of its own: the marts of days and of products read
-- it, and so the lines are read once.
select
    receipt.business_date,
    receipt.store_id,
    receipt.source,
    receipt.channel,
    receipt.currency_code,
    item.product_id,
    item.currency_code as line_currency_code,
    sum(item.quantity) as quantity,
    sum(item.net_amount) as net_amount,
    sum(item.unknown_amount_line_count) as unknown_amount_line_count,
    count(*) filter (where receipt.event = 'sale') as ticket_count
from (
    select
        line.sale_id,
        line.product_id,
        line.currency_code,
        sum(line.quantity) as quantity,
        sum(line.net_amount) as net_amount,
        count(*) filter (where line.net_amount is null) as unknown_amount_line_count
    from affected_receipts as affected
    inner join core.sale_lines as line on affected.sale_id = line.sale_id
    group by line.sale_id, line.product_id, line.currency_code
) as item
inner join affected_receipts as receipt on item.sale_id = receipt.sale_id
group by
    receipt.business_date, receipt.store_id, receipt.source, receipt.channel, receipt.currency_code,
    item.product_id, item.currency_code
