-- One row per store, source and day whose average receipt is far from that of the 28 days before.
-- Reads core.sales, marts.daily_store_sales, checked_days. Judged from ten receipts and seven days on.
with averages as (
    select sale.source, sale.store_id, sale.business_date, sale.currency_code, avg(sale.net_amount) as average
    from core.sales as sale
    inner join checked_days as day
        on sale.business_date = day.business_date and sale.store_id = day.store_id and sale.source = day.source
    where sale.event = 'sale' and (%(known_at)s::timestamptz is null or sale.known_from = %(known_at)s)
    group by sale.source, sale.store_id, sale.business_date, sale.currency_code
    having count(*) >= 10
)

select
    averages.source || ' ' || averages.store_id || ' ' || averages.business_date as key,
    format('%%s on average, usually %%s', round(averages.average, 2), round(history.average, 2)) as found
from averages
inner join lateral (
    select
        percentile_disc(0.5) within group (order by before.net_amount / before.ticket_count) as average,
        count(distinct before.business_date) as days
    from marts.daily_store_sales as before
    where
        before.store_id = averages.store_id
        and before.source = averages.source
        and before.currency_code = averages.currency_code
        and before.ticket_count > 0
        and before.business_date between averages.business_date - 28 and averages.business_date - 1
) as history on history.days >= 7
where averages.average > history.average * 8 or averages.average < history.average / 8
