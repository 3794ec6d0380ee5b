-- One row per day, store and source whose customers differ from the receipts that name one. Reads marts.daily_customers,
-- core.sales.
with receipts as (
    select business_date, store_id, source, count(*) as tickets, sum(net_amount) as net_amount
    from core.sales
    where event = 'sale' and customer_id is not null and business_date >= %(since)s
    group by business_date, store_id, source
),

shown as (
    select business_date, store_id, source, sum(ticket_count) as tickets, sum(net_amount) as net_amount
    from marts.daily_customers
    where business_date >= %(since)s
    group by business_date, store_id, source
)

select
    coalesce(receipts.source, shown.source) || ' ' || coalesce(receipts.store_id, shown.store_id) || ' '
    || coalesce(receipts.business_date, shown.business_date) as key,
    format('shown %%s receipts, received %%s', coalesce(shown.tickets, 0), coalesce(receipts.tickets, 0)) as found
from receipts
full join shown
    on
        receipts.business_date = shown.business_date
        and receipts.store_id = shown.store_id
        and receipts.source = shown.source
where (receipts.tickets, receipts.net_amount) is distinct from (shown.tickets, shown.net_amount)
