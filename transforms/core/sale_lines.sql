-- One row per line of a receipt that counts, numbered in the order received. Reads stage_sale_lines, winning_receipts,
-- core.products, core.sales (why and since when). Two equal lines of one receipt are two lines; all are of the
-- receipt's one day.
select
    winner.sale_id,
    (row_number() over (partition by winner.sale_id order by line.raw_id, line.stage_id))::integer as line_number,
    winner.business_date,
    product.product_id,
    line.product_name,
    line.variation,
    line.modifiers,
    line.quantity,
    line.unit_price,
    line.gross_amount,
    line.discount_amount,
    line.net_amount,
    line.tax_amount,
    line.gift_card_amount,
    line.currency_code,
    line.amount_origin,
    line.note,
    line.raw_id,
    line.load_id,
    sale.valid_from,
    case when sale.known_from = %(known_at)s then sale.change_cause else 'correction' end as change_cause
from stage_sale_lines as line
inner join winning_receipts as winner
    on line.receipt_number = winner.receipt_number and line.document_id = winner.document_id
inner join core.sales as sale on winner.sale_id = sale.sale_id
left join core.products as product
    on product.catalogue = %(catalogue)s and line.product_key = product.product_key
