-- One row per month and source whose customers' months differ from their days. Reads marts.customer_activity,
-- marts.daily_customers.
with days as (
    select
        date_trunc('month', business_date)::date as month,
        source,
        count(distinct customer_id) as customers,
        sum(ticket_count) as tickets,
        sum(net_amount) as net_amount
    from marts.daily_customers
    where business_date >= date_trunc('month', %(since)s::date)
    group by 1, 2
),

shown as (
    select
        month,
        source,
        count(distinct customer_id) as customers,
        sum(ticket_count) as tickets,
        sum(net_amount) as net_amount
    from marts.customer_activity
    where month >= date_trunc('month', %(since)s::date)
    group by 1, 2
)

select
    coalesce(days.source, shown.source) || ' ' || to_char(coalesce(days.month, shown.month), 'YYYY-MM') as key,
    format(
        'shown %%s customers, %%s receipts; by days %%s, %%s',
        shown.customers,
        shown.tickets,
        days.customers,
        days.tickets
    ) as found
from days
full join shown on days.month = shown.month and days.source = shown.source
where
    (days.customers, days.tickets, days.net_amount) is distinct from (shown.customers, shown.tickets, shown.net_amount)
