-- One row per business date, 28 unless a first day is asked for, beside what is usual for its weekday.
-- Reads marts.daily_store_sales. Usual is the mean of that weekday in the four weeks before; a closed day is
-- left out of the mean, so that one holiday does not make the next weeks look good.
with scope as (
    select
        currency_code,
        max(business_date) as last_day,
        coalesce([[cast({{date_from}} as date), ]]max(business_date) - 27) as first_day
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

days as (
    select
        sales.business_date,
        sales.currency_code,
        scope.first_day,
        sum(sales.net_amount) as net_amount
    from scope
    inner join marts.daily_store_sales as sales on scope.currency_code = sales.currency_code
    where
        sales.business_date between scope.first_day - 28 and scope.last_day
        [[and sales.source = {{source}}]]
    group by sales.business_date, sales.currency_code, scope.first_day
),

beside as (
    select
        days.business_date,
        days.currency_code,
        days.net_amount,
        round(avg(usual.net_amount), 2) as usual_net_amount
    from days
    left join days as usual
        on
            days.business_date > usual.business_date
            and days.business_date - usual.business_date <= 28
            and (days.business_date - usual.business_date) % 7 = 0
    where days.business_date >= days.first_day
    group by days.business_date, days.currency_code, days.net_amount
)

select
    business_date,
    net_amount,
    usual_net_amount,
    net_amount - usual_net_amount as difference_amount,
    round(net_amount / nullif(usual_net_amount, 0) - 1, 4) as difference_share,
    currency_code
from beside
order by business_date
