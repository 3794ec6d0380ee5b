-- One row per month of first purchase, the 12 newest: how many of its customers came again in later months.
-- Reads marts.customer_cohorts, and marts.daily_store_sales for the scope. A month not yet reached is empty.
-- Cohorts are of the whole business, so there is no filter by source.
with scope as (
    select
        currency_code,
        date_trunc('month', max(business_date))::date as last_month,
        coalesce(
            [[date_trunc('month', cast({{date_from}} as date)), ]]
            date_trunc('month', max(business_date)) - interval '11 months'
        ) as first_month
    from marts.daily_store_sales
    where
        true
        [[and currency_code = {{currency}}]]
        [[and business_date <= {{date_to}}]]
    group by currency_code
    order by sum(ticket_count) desc, currency_code asc
    limit 1
)

select
    cohorts.cohort_month,
    max(cohorts.customer_count) as customer_count,
    max(cohorts.retained_share) filter (where cohorts.months_since = 1) as share_after_1,
    max(cohorts.retained_share) filter (where cohorts.months_since = 2) as share_after_2,
    max(cohorts.retained_share) filter (where cohorts.months_since = 3) as share_after_3,
    max(cohorts.retained_share) filter (where cohorts.months_since = 4) as share_after_4,
    max(cohorts.retained_share) filter (where cohorts.months_since = 5) as share_after_5,
    max(cohorts.retained_share) filter (where cohorts.months_since = 6) as share_after_6,
    sum(cohorts.net_amount) as net_amount,
    cohorts.currency_code
from scope
inner join marts.customer_cohorts as cohorts on scope.currency_code = cohorts.currency_code
where
    cohorts.cohort_month between scope.first_month and scope.last_month
    and cohorts.month <= scope.last_month
group by cohorts.cohort_month, cohorts.currency_code
order by cohorts.cohort_month desc
