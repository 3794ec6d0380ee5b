-- One row per source and currency: what the sales figures are made of, from the first day to the last.
-- Reads marts.daily_store_sales, and marts.data_freshness for the titles of the sources.
-- A line of unknown amount is in the tickets but adds nothing to the sales.
select
    coalesce(max(freshness.title), sales.source) as title,
    sales.source,
    sales.currency_code,
    min(sales.business_date) as first_day,
    max(sales.business_date) as last_day,
    count(distinct sales.store_id) as store_count,
    sum(sales.ticket_count) as ticket_count,
    sum(sales.net_amount) as net_amount,
    sum(sales.unknown_amount_line_count) as unknown_amount_line_count
from marts.daily_store_sales as sales
left join marts.data_freshness as freshness on sales.source = freshness.source
group by sales.source, sales.currency_code
order by sum(sales.ticket_count) desc, sales.source asc, sales.currency_code asc
