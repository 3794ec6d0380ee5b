-- One row per store with sales; the 90 newest days unless a first day is asked for.
-- Reads marts.daily_store_sales. An average is taken from the two sums, never from averages of days.
with scope as (
    select
        currency_code,
        max(business_date) as last_day,
        coalesce([[cast({{date_from}} as date), ]]max(business_date) - 89) as first_day
    from marts.daily_store_sales
    where
        true
        [[and source = {{source}}]]
        [[and currency_code = {{currency}}]]
        [[and business_date <= {{date_to}}]]
    group by currency_code
    order by sum(ticket_count) desc, currency_code asc
    limit 1
)

select
    max(sales.store_name)
    || case
        when count(*) over (partition by max(sales.store_name)) > 1 then ' (' || sales.store_id || ')' else ''
    end as store_name,
    sum(sales.ticket_count) as ticket_count,
    round(sum(sales.net_amount) / nullif(sum(sales.ticket_count), 0), 2) as average_ticket_amount,
    sum(sales.net_amount) as net_amount,
    sum(sales.refund_amount) as refund_amount,
    sales.store_id,
    sales.currency_code,
    scope.first_day,
    scope.last_day
from scope
inner join marts.daily_store_sales as sales on scope.currency_code = sales.currency_code
where
    sales.business_date between scope.first_day and scope.last_day
    [[and sales.source = {{source}}]]
group by sales.store_id, sales.currency_code, scope.first_day, scope.last_day
order by sum(sales.net_amount) desc nulls last, sales.store_id asc
