-- One row per receipt that counts. Reads winning_receipts, core.customer_sources, core.sales (which sale a reversal was
-- found to reverse), marts.daily_store_sales (which days had a figure).
-- An amount of the receipt is unknown as soon as one of its lines is. A tip belongs to the receipt, so it stands
-- on each of its lines and is taken once.
select
    receipt.sale_id,
    %(source)s as source,
    receipt.receipt_number,
    receipt.event,
    receipt.store_id,
    crosswalk.customer_id,
    receipt.customer as source_customer_id,
    case when receipt.employee is not null then core.key(%(source)s, 'employee', receipt.employee) end as employee_id,
    receipt.channel,
    receipt.sold_at,
    receipt.business_date,
    receipt.currency_code,
    receipt.line_count,
    receipt.gross_amount,
    receipt.discount_amount,
    receipt.net_amount,
    receipt.tax_amount,
    receipt.tip_amount,
    receipt.gift_card_amount,
    receipt.payment_reference,
    receipt.reverses_receipt_number,
    case when receipt.event in ('refund', 'void') then known.reverses_sale_id end as reverses_sale_id,
    receipt.updated_at as source_updated_at,
    receipt.document_id,
    receipt.raw_id,
    receipt.load_id,
    coalesce(receipt.updated_at, receipt.sold_at) as valid_from,
    case
        when receipt.event in ('refund', 'void') then 'refund'
        when known_day.business_date is not null then 'late'
        else 'new'
    end as change_cause
from winning_receipts as receipt
left join core.customer_sources as crosswalk
    on crosswalk.source = %(source)s and receipt.customer = crosswalk.source_customer_id
left join core.sales as known on receipt.sale_id = known.sale_id
-- A receipt of a day that had a figure already came late.
left join (
    select distinct
        business_date,
        store_id
    from marts.daily_store_sales
    where source = %(source)s
) as known_day on receipt.business_date = known_day.business_date and receipt.store_id = known_day.store_id
-- Keys in order fill the end of their index instead of all of it, and what follows finds its rows together.
order by receipt.sale_id asc
