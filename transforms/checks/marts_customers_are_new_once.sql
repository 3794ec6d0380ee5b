-- One row per month with customers wrongly shown as new or as known. Reads marts.customer_activity,
-- marts.daily_customers.
with firsts as (
    select customer_id, date_trunc('month', min(business_date))::date as month
    from marts.daily_customers
    group by customer_id
)

select
    to_char(activity.month, 'YYYY-MM') as key,
    format('%%s customers', count(distinct activity.customer_id)) as found
from marts.customer_activity as activity
inner join firsts on activity.customer_id = firsts.customer_id
where activity.is_new <> (activity.month = firsts.month)
group by activity.month
