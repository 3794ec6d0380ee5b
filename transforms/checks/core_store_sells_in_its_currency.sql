-- One row per store, source, day and currency that is new to the store, which has sold for four weeks in another one.
-- Reads core.sales, marts.daily_store_sales, checked_days.
select
    sale.source || ' ' || sale.store_id || ' ' || sale.business_date as key,
    format('%%s receipts in %%s, in which the store sold nothing in the 28 days before', count(*), sale.currency_code)
        as found
from core.sales as sale
inner join checked_days as day
    on sale.business_date = day.business_date and sale.store_id = day.store_id and sale.source = day.source
inner join lateral (
    select
        count(distinct before.business_date) as days,
        bool_or(before.currency_code = sale.currency_code) as is_known
    from marts.daily_store_sales as before
    where
        before.store_id = day.store_id
        and before.source = day.source
        and before.business_date between day.business_date - 28 and day.business_date - 1
) as history on history.days >= 14 and not history.is_known
where (%(known_at)s::timestamptz is null or sale.known_from = %(known_at)s)
group by sale.source, sale.store_id, sale.business_date, sale.currency_code
