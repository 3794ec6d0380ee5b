-- One row per store and day: the 14 newest days, as far as they were forecast, and the days to come.
-- Reads marts.sales_forecast, marts.daily_store_sales. Of several forecasts of a day the newest counts.
-- How far off the model was in its test stands in the name of each line, so that no picture is without it.
with scope as (
    select currency_code
    from marts.daily_store_sales
    group by currency_code
    order by sum(ticket_count) desc, currency_code asc
    limit 1
),

newest as (
    select max(forecast.made_on) as made_on
    from marts.sales_forecast as forecast
    where forecast.made_on <= (select max(sales.business_date) from marts.daily_store_sales as sales)
),

stores as (
    select
        store_id,
        max(store_name)
        || case
            when count(*) over (partition by max(store_name)) > 1 then ' (' || store_id || ')' else ''
        end as store_name
    from marts.daily_store_sales
    group by store_id
),

lines as (
    select distinct
        forecast.store_id,
        coalesce(stores.store_name, forecast.store_id) as store_name,
        ', off by ' || trim(to_char(forecast.off_by_amount, '999,999,990.00')) || ' '
        || forecast.currency_code || ' a day' as off_by_words
    from marts.sales_forecast as forecast
    inner join newest on forecast.made_on = newest.made_on
    inner join scope on forecast.currency_code = scope.currency_code
    left join stores on forecast.store_id = stores.store_id
),

sold as (
    select
        sales.store_id,
        sales.business_date,
        sum(sales.net_amount) as net_amount
    from marts.daily_store_sales as sales
    inner join scope on sales.currency_code = scope.currency_code
    cross join newest
    where sales.business_date between newest.made_on - 13 and newest.made_on
    group by sales.store_id, sales.business_date
),

expected as (
    select distinct on (forecast.store_id, forecast.business_date)
        forecast.store_id,
        forecast.business_date,
        forecast.expected_amount,
        forecast.off_by_amount,
        forecast.off_by_share,
        forecast.currency_code,
        forecast.model,
        forecast.tested_days,
        forecast.made_on,
        forecast.plan_id,
        case
            when forecast.business_date > newest.made_on then null
            when sold.store_id is null then 0
            else sold.net_amount
        end as net_amount
    from marts.sales_forecast as forecast
    inner join scope on forecast.currency_code = scope.currency_code
    inner join newest on forecast.made_on <= newest.made_on and forecast.business_date > newest.made_on - 14
    left join sold on forecast.store_id = sold.store_id and forecast.business_date = sold.business_date
    order by forecast.store_id asc, forecast.business_date asc, forecast.made_on desc
)

select
    expected.business_date,
    lines.store_name,
    lines.store_name || lines.off_by_words as line_words,
    expected.store_id,
    expected.expected_amount,
    expected.off_by_amount,
    expected.off_by_share,
    expected.net_amount,
    expected.net_amount - expected.expected_amount as difference_amount,
    expected.currency_code,
    expected.model,
    expected.tested_days,
    expected.made_on,
    expected.plan_id
from expected
inner join lines on expected.store_id = lines.store_id
order by expected.business_date, lines.store_name, expected.store_id
