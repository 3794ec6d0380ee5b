-- One row per month, store, source and currency that differs from its days, or that only one side has.
-- Reads marts.monthly_store_sales, marts.daily_store_sales, checked_days.
with months as (
    select distinct date_trunc('month', business_date)::date as month, store_id, source
    from checked_days
),

days as (
    select
        months.month,
        months.store_id,
        months.source,
        daily.currency_code,
        sum(daily.ticket_count) as tickets,
        sum(daily.refund_count) as refunds,
        sum(daily.net_amount) as net_amount,
        sum(daily.gross_amount) as gross_amount
    from months
    inner join marts.daily_store_sales as daily
        on
            months.store_id = daily.store_id
            and months.source = daily.source
            and daily.business_date >= months.month
            and daily.business_date < months.month + interval '1 month'
    group by months.month, months.store_id, months.source, daily.currency_code
),

shown as (
    select mart.*
    from marts.monthly_store_sales as mart
    inner join months
        on mart.month = months.month and mart.store_id = months.store_id and mart.source = months.source
)

select
    coalesce(days.source, shown.source) || ' ' || coalesce(days.store_id, shown.store_id) || ' '
    || to_char(coalesce(days.month, shown.month), 'YYYY-MM') as key,
    format('shown %%s, its days %%s', shown.net_amount, days.net_amount) as found
from days
full join shown
    on
        days.month = shown.month
        and days.store_id = shown.store_id
        and days.source = shown.source
        and days.currency_code = shown.currency_code
where
    (days.tickets, days.refunds, days.net_amount, days.gross_amount)
    is distinct from (shown.ticket_count, shown.refund_count, shown.net_amount, shown.gross_amount)
