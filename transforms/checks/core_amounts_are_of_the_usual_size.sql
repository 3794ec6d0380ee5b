-- One row per store, source and day whose middle receipt is far from what a receipt brought in the 28 days before.
-- Reads checked_sales, marts.daily_store_sales. Judged from ten receipts and seven days on. The middle one,
-- not the average: one order of a wedding makes an average day of a bakery ten times as large.
with usual as (
    select
        sale.source,
        sale.store_id,
        sale.business_date,
        sale.currency_code,
        percentile_disc(0.5) within group (order by sale.net_amount) as middle
    from checked_sales as sale
    where sale.event = 'sale' and (%(known_at)s::timestamptz is null or sale.known_from = %(known_at)s)
    group by sale.source, sale.store_id, sale.business_date, sale.currency_code
    having count(*) >= 10
)

select
    usual.source || ' ' || usual.store_id || ' ' || usual.business_date as key,
    format('%%s in the middle, usually %%s on average', round(usual.middle, 2), round(history.average, 2)) as found
from usual
inner join lateral (
    select
        percentile_disc(0.5) within group (order by before.net_amount / before.ticket_count) as average,
        count(distinct before.business_date) as days
    from marts.daily_store_sales as before
    where
        before.store_id = usual.store_id
        and before.source = usual.source
        and before.currency_code = usual.currency_code
        and before.ticket_count > 0
        and before.business_date between usual.business_date - 28 and usual.business_date - 1
) as history on history.days >= 7
where usual.middle > history.average * 8 or usual.middle < history.average / 8
