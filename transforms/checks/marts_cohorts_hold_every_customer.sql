-- One row per currency whose cohorts differ from the customers. Reads marts.customer_cohorts, marts.customer_activity.
with customers as (
    select currency_code, count(distinct customer_id) as customers
    from marts.customer_activity
    group by currency_code
),

cohorts as (
    select currency_code, sum(customer_count) as customers
    from marts.customer_cohorts
    where months_since = 0
    group by currency_code
)

select
    coalesce(customers.currency_code, cohorts.currency_code)::text as key,
    format('%%s customers, %%s in cohorts', customers.customers, cohorts.customers) as found
from customers
full join cohorts on customers.currency_code = cohorts.currency_code
where customers.customers is distinct from cohorts.customers
