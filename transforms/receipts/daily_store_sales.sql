-- One row per receipt behind marts.daily_store_sales, under that mart's names, summed from its lines.
-- Reads core.sales, core.sale_lines, core.stores. An amount is unknown as soon as one of the lines' is.
with summed as (
    select
        line.sale_id,
        sum(line.quantity) as item_quantity,
        case when count(*) = count(line.gross_amount) then sum(line.gross_amount) end as gross_amount,
        case when count(*) = count(line.discount_amount) then sum(line.discount_amount) end as discount_amount,
        case when count(*) = count(line.net_amount) then sum(line.net_amount) end as net_amount,
        case when count(*) = count(line.tax_amount) then sum(line.tax_amount) end as tax_amount,
        count(*) filter (where line.net_amount is null) as unknown_amount_line_count,
        array_agg(line.raw_id order by line.line_number) as raw_ids
    from core.sale_lines as line
    where line.business_date between %(first_day)s and %(last_day)s
    group by line.sale_id
)

select
    'receipt' as cited,
    receipts.sale_id::text as cited_id,
    receipts.receipt_number as cited_name,
    summed.raw_ids,
    receipts.business_date,
    receipts.store_id,
    store.store_name,
    receipts.source,
    coalesce(receipts.channel, 'unknown') as channel,
    receipts.currency_code,
    case when receipts.event = 'sale' then 1 else 0 end as ticket_count,
    case when receipts.event = 'refund' then 1 else 0 end as refund_count,
    receipts.customer_id,
    summed.item_quantity,
    case when receipts.event = 'sale' then summed.gross_amount end as gross_amount,
    case when receipts.event = 'sale' then summed.discount_amount end as discount_amount,
    case when receipts.event = 'refund' then coalesce(-summed.net_amount, 0) else 0 end as refund_amount,
    summed.net_amount,
    summed.tax_amount,
    coalesce(summed.unknown_amount_line_count, 0) as unknown_amount_line_count
from core.sales as receipts
inner join core.stores as store on receipts.store_id = store.store_id
left join summed on receipts.sale_id = summed.sale_id
where receipts.business_date between %(first_day)s and %(last_day)s
