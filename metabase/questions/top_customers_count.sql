-- One row: how few known customers make up half of what all known customers bought in twelve months.
-- Reads marts.customer_activity, marts.daily_store_sales for the scope. A count only: no customer is named.
with scope as (
    select
        currency_code,
        date_trunc('month', max(business_date))::date as last_month,
        (date_trunc('month', max(business_date)) - interval '11 months')::date as first_month
    from marts.daily_store_sales
    where
        true
        [[and source = {{source}}]]
        [[and currency_code = {{currency}}]]
        [[and business_date <= {{date_to}}]]
    group by currency_code
    order by sum(ticket_count) desc, currency_code asc
    limit 1
),

customers as (
    select
        activity.customer_id,
        activity.currency_code,
        scope.first_month,
        scope.last_month,
        sum(activity.net_amount) as net_amount
    from scope
    inner join marts.customer_activity as activity on scope.currency_code = activity.currency_code
    where
        activity.month between scope.first_month and scope.last_month
        [[and activity.source = {{source}}]]
    group by activity.customer_id, activity.currency_code, scope.first_month, scope.last_month
    having sum(activity.net_amount) > 0
),

ranked as (
    select
        currency_code,
        first_month,
        last_month,
        sum(net_amount) over (order by net_amount desc, customer_id asc) - net_amount as net_amount_before,
        sum(net_amount) over () as net_amount_of_all
    from customers
)

select
    last_month,
    currency_code,
    count(*) filter (where net_amount_before < net_amount_of_all / 2) as top_customer_count,
    count(*) as customer_count
from ranked
group by first_month, last_month, currency_code
