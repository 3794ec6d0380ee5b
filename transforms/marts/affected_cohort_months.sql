-- One row per month whose cohorts may say something else now: the affected months, all months of a customer who changed
-- the cohort, and every month while there is no cohort. Reads affected_months, affected_customers,
-- marts.customer_activity (as it was before the batch), core.sales (as it is now), marts.customer_cohorts. No table of
-- its own: what marts.customer_cohorts works out anew.
with affected as (
    select distinct customer_id
    from affected_customers
),

moved as (
    select
        coalesce(was.customer_id, now.customer_id) as customer_id,
        was.month as month_before,
        now.month as month_now
    from (
        select activity.customer_id, activity.currency_code, min(activity.month) as month
        from affected
        inner join marts.customer_activity as activity on affected.customer_id = activity.customer_id
        group by activity.customer_id, activity.currency_code
    ) as was
    full join (
        select
            sale.customer_id, sale.currency_code, date_trunc('month', min(sale.business_date))::date as month
        from affected
        inner join core.sales as sale on affected.customer_id = sale.customer_id
        where sale.event = 'sale'
        group by sale.customer_id, sale.currency_code
    ) as now on was.customer_id = now.customer_id and was.currency_code = now.currency_code
    where was.month is distinct from now.month
)

select month
from affected_months
union
select month_before
from moved
where month_before is not null
union
select activity.month
from moved
inner join marts.customer_activity as activity on moved.customer_id = activity.customer_id
union
select date_trunc('month', sale.business_date)::date as month
from moved
inner join core.sales as sale on moved.customer_id = sale.customer_id
union
select activity.month
from marts.customer_activity as activity
where not exists (select from marts.customer_cohorts)
