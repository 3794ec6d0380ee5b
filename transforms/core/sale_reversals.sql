-- One row per refund or void of the source whose sale is known by now. Reads core.sales.
-- The sale is the receipt it names, else the one paid by the same payment. It may arrive before or after its refund.
select distinct on (sale_id)
    sale_id,
    reverses_sale_id
from (
    select
        refund.sale_id,
        sale.sale_id as reverses_sale_id,
        sale.sold_at
    from core.sales as refund
    inner join core.sales as sale
        on refund.source = sale.source and refund.reverses_receipt_number = sale.receipt_number
    where refund.source = %(source)s and refund.event in ('refund', 'void') and refund.reverses_sale_id is null
    union all
    select
        refund.sale_id,
        sale.sale_id as reverses_sale_id,
        sale.sold_at
    from core.sales as refund
    inner join core.sales as sale
        on
            refund.source = sale.source
            and refund.payment_reference = sale.payment_reference
            and sale.event in ('sale', 'voided')
    where
        refund.source = %(source)s
        and refund.event in ('refund', 'void')
        and refund.reverses_sale_id is null
        and refund.reverses_receipt_number is null
) as reversal
order by sale_id asc, sold_at asc, reverses_sale_id asc
