-- One row per void whose sale is no longer void: its reversal goes. Reads core.sales, winning_receipts.
select void.sale_id
from core.sales as void
inner join winning_receipts as reversed on void.reverses_receipt_number = reversed.receipt_number
left join winning_receipts as told_again on void.receipt_number = told_again.receipt_number
where
    void.source = %(source)s
    and void.event = 'void'
    and told_again.receipt_number is null
