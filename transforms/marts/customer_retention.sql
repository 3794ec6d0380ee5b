-- One row per month that is over and before which, in the month before, known customers bought, for the affected
-- months. Reads marts.customer_activity, marts.daily_store_sales, affected_retention_months.
select
    affected.month,
    count(*)::integer as earlier_count,
    count(later.customer_id)::integer as retained_count
from affected_retention_months as affected
cross join
    lateral (
        select distinct activity.customer_id
        from marts.customer_activity as activity
        where activity.month = (affected.month - interval '1 month')::date
    ) as earlier
left join (
    select distinct month, customer_id
    from marts.customer_activity
) as later on affected.month = later.month and earlier.customer_id = later.customer_id
where
    (affected.month + interval '1 month')::date <= (
        select max(newest.business_date) + 1 from marts.daily_store_sales as newest
    )
group by affected.month
