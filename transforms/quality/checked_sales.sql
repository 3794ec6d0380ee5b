-- One row per receipt of the days looked at, with what the checks read of it. Reads core.sales, checked_days.
select
    sale.sale_id,
    sale.source,
    sale.receipt_number,
    sale.event,
    sale.store_id,
    sale.business_date,
    sale.currency_code,
    sale.line_count,
    sale.gross_amount,
    sale.discount_amount,
    sale.net_amount,
    sale.tax_amount,
    sale.known_from
from checked_days as day
inner join core.sales as sale
    on day.business_date = sale.business_date and day.store_id = sale.store_id and day.source = sale.source
