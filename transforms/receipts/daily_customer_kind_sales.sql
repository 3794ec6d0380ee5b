-- One row per receipt behind marts.daily_customer_kind_sales, under that mart's names, summed from its lines.
-- Reads core.sales, core.sale_lines. New is who bought for the first time ever on the day of the receipt.
with receipts as (
    select sale.*
    from core.sales as sale
    where sale.business_date between %(first_day)s and %(last_day)s
),

firsts as (
    select customer_id, min(business_date) as business_date
    from core.sales
    where event = 'sale' and customer_id in (select receipts.customer_id from receipts)
    group by customer_id
),

summed as (
    select
        line.sale_id,
        case when count(*) = count(line.gross_amount) then sum(line.gross_amount) end as gross_amount,
        case when count(*) = count(line.discount_amount) then sum(line.discount_amount) end as discount_amount,
        case when count(*) = count(line.net_amount) then sum(line.net_amount) end as net_amount,
        array_agg(line.raw_id order by line.line_number) as raw_ids
    from receipts
    inner join core.sale_lines as line on receipts.sale_id = line.sale_id
    group by line.sale_id
)

select
    'receipt' as cited,
    receipts.sale_id::text as cited_id,
    receipts.receipt_number as cited_name,
    summed.raw_ids,
    receipts.business_date,
    receipts.store_id,
    receipts.source,
    coalesce(receipts.channel, 'unknown') as channel,
    receipts.currency_code,
    case
        when receipts.customer_id is null then 'unknown'
        when receipts.business_date = firsts.business_date then 'new'
        else 'returning'
    end as customer_kind,
    case when receipts.event = 'sale' then 1 else 0 end as ticket_count,
    case when receipts.event = 'sale' then summed.gross_amount end as gross_amount,
    case when receipts.event = 'sale' then summed.discount_amount end as discount_amount,
    case when receipts.event = 'refund' then coalesce(-summed.net_amount, 0) else 0 end as refund_amount,
    summed.net_amount
from receipts
left join firsts on receipts.customer_id = firsts.customer_id
left join summed on receipts.sale_id = summed.sale_id
