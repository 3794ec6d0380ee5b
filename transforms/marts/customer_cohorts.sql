-- One row per cohort month, months since then and currency: all there should be. A cohort is the known customers
-- whose first purchase in the currency was in that month. Reads affected_cohort_months, marts.customer_activity,
-- core.sales (refunds), and marts.customer_cohorts for the months nothing changed in. Only months with purchases or
-- refunds are worked out; those between, when nobody of a cohort came, are filled in.
with bought as (
    select
        activity.month,
        activity.customer_id,
        activity.currency_code,
        sum(activity.net_amount) as net_amount,
        0 as refund_amount,
        1 as is_active
    from affected_cohort_months as affected
    inner join marts.customer_activity as activity on affected.month = activity.month
    group by activity.month, activity.customer_id, activity.currency_code
    union all
    select
        affected.month,
        refund.customer_id,
        refund.currency_code,
        null as net_amount,
        coalesce(sum(refund.net_amount), 0) as refund_amount,
        0 as is_active
    from affected_cohort_months as affected
    inner join core.sales as refund
        on
            refund.business_date >= affected.month
            and refund.business_date < affected.month + interval '1 month'
            and refund.event = 'refund'
    where refund.customer_id is not null
    group by affected.month, refund.customer_id, refund.currency_code
),

cells as (
    select
        first.month as cohort_month,
        bought.month,
        bought.currency_code,
        sum(bought.is_active)::integer as active_count,
        case
            when count(bought.net_amount) > 0 or sum(bought.is_active) = 0
                then coalesce(sum(bought.net_amount), 0) + sum(bought.refund_amount)
        end as net_amount
    from bought
    cross join
        lateral (
            select min(activity.month) as month
            from marts.customer_activity as activity
            where activity.customer_id = bought.customer_id and activity.currency_code = bought.currency_code
        ) as first
    where first.month <= bought.month
    group by first.month, bought.month, bought.currency_code
    union all
    select known.cohort_month, known.month, known.currency_code, known.active_count, known.net_amount
    from marts.customer_cohorts as known
    where known.month not in (select affected.month from affected_cohort_months as affected)
),

filled as (
    select
        cohort.cohort_month,
        newest.currency_code,
        cohort.customer_count,
        months.month::date as month
    from (
        select cohort_month, currency_code, active_count as customer_count
        from cells
        where cohort_month = month and active_count > 0
    ) as cohort
    inner join (
        select currency_code, max(month) as month
        from cells
        where active_count > 0 or net_amount <> 0
        group by currency_code
    ) as newest on cohort.currency_code = newest.currency_code
    cross join
        lateral generate_series(cohort.cohort_month, newest.month, interval '1 month') as months (month)
)

select
    filled.cohort_month,
    (
        extract(year from filled.month) * 12 + extract(month from filled.month)
        - extract(year from filled.cohort_month) * 12 - extract(month from filled.cohort_month)
    )::integer as months_since,
    filled.currency_code,
    filled.month,
    filled.customer_count,
    coalesce(cells.active_count, 0) as active_count,
    round(coalesce(cells.active_count, 0)::numeric / filled.customer_count, 4) as retained_share,
    case when cells.active_count is null then 0 else cells.net_amount end as net_amount
from filled
left join cells
    on
        filled.cohort_month = cells.cohort_month
        and filled.month = cells.month
        and filled.currency_code = cells.currency_code
