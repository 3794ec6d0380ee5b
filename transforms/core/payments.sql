-- One row per receipt whose payment the source tells of. Reads winning_receipts, core.sales (why and since when).
select
    receipt.sale_id,
    1 as payment_number,
    coalesce(receipt.payment_method, case when receipt.card_brand is not null then 'card' end) as method,
    receipt.card_brand,
    receipt.card_last_digits,
    receipt.net_amount
    + coalesce(receipt.tax_amount, 0)
    + coalesce(receipt.tip_amount, 0)
    + coalesce(receipt.gift_card_amount, 0) as amount,
    receipt.currency_code,
    receipt.payment_reference as source_payment_id,
    receipt.raw_id,
    receipt.load_id,
    sale.valid_from,
    case when sale.known_from = %(known_at)s then sale.change_cause else 'correction' end as change_cause
from winning_receipts as receipt
inner join core.sales as sale on receipt.sale_id = sale.sale_id
where receipt.payment_reference is not null or receipt.payment_method is not null
order by receipt.sale_id asc
