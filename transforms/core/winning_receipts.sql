-- One row per receipt of the batch that counts, with what its lines add up to. Reads stage_sale_lines, core.sales.
-- The receipt is the unit of replacement: of several versions the latest counts, by the source's own update time
-- where it has one, else by arrival; a version older than the one in core is left out. The reversal of a voided sale
-- comes and goes with the sale. Lines are added up here, once, for sales and payments: they are many.
with receipts as materialized (
    select
        receipt_number,
        document_id,
        max(updated_at) as updated_at,
        min(case when event = 'void' then reverses_receipt_number else receipt_number end) as sale_number,
        case when min(event) = max(event) then min(event) else 'sale' end as event,
        min(store_id) as store_id,
        max(customer) as customer,
        max(employee) as employee,
        min(channel) as channel,
        min(sold_at) as sold_at,
        min(business_date) as business_date,
        min(currency_code) as currency_code,
        count(*)::integer as line_count,
        case when count(*) = count(net_amount) then sum(gross_amount) end as gross_amount,
        case when count(*) = count(net_amount) then sum(discount_amount) end as discount_amount,
        case when count(*) = count(net_amount) then sum(net_amount) end as net_amount,
        sum(tax_amount) as tax_amount,
        max(tip_amount) as tip_amount,
        sum(gift_card_amount) as gift_card_amount,
        max(payment_reference) as payment_reference,
        max(payment_method) as payment_method,
        max(card_brand) as card_brand,
        max(card_last_digits) as card_last_digits,
        max(reverses_receipt_number) as reverses_receipt_number,
        min(raw_id) as raw_id,
        min(load_id) as load_id
    from stage_sale_lines
    group by receipt_number, document_id
),

latest as (
    select distinct on (sale_number) sale_number, document_id, updated_at
    from (
        select sale_number, document_id, max(updated_at) as updated_at
        from receipts
        group by sale_number, document_id
    ) as version
    order by sale_number asc, updated_at desc nulls last, document_id desc
)

select
    core.key(%(source)s, receipt.receipt_number) as sale_id,
    receipt.receipt_number,
    receipt.document_id,
    latest.updated_at,
    receipt.event,
    receipt.store_id,
    receipt.customer,
    receipt.employee,
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
    receipt.payment_method,
    receipt.card_brand,
    receipt.card_last_digits,
    receipt.reverses_receipt_number,
    receipt.raw_id,
    receipt.load_id
from receipts as receipt
inner join latest on receipt.sale_number = latest.sale_number and receipt.document_id = latest.document_id
left join core.sales as known
    on known.source = %(source)s and latest.sale_number = known.receipt_number
where core.may_replace(latest.updated_at, latest.document_id, known.source_updated_at, known.document_id)
