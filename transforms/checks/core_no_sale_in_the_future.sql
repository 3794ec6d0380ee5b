-- One row per receipt dated more than a day after now. Reads core.sales, checked_days.
select
    sale.source || ' receipt ' || sale.receipt_number as key,
    format('dated %%s', sale.business_date) as found
from core.sales as sale
inner join checked_days as day
    on sale.business_date = day.business_date and sale.store_id = day.store_id and sale.source = day.source
where sale.business_date > %(today)s + 1 and (%(known_at)s::timestamptz is null or sale.known_from = %(known_at)s)
