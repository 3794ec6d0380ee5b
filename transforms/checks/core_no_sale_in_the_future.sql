-- One row per receipt dated more than a day after now. Reads checked_sales.
select
    sale.source || ' receipt ' || sale.receipt_number as key,
    format('dated %%s', sale.business_date) as found
from checked_sales as sale
where sale.business_date > %(today)s + 1 and (%(known_at)s::timestamptz is null or sale.known_from = %(known_at)s)
