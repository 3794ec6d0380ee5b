-- One row per month whose cohorts may say something else now: the affected months, all months of a customer who changed
-- the cohort, and every month while there is no cohort. Reads affected_months, moved_cohorts, marts.customer_activity
-- (as it was before the batch), core.sales (as it is now), marts.customer_cohorts. No table of its own: what
-- marts.customer_cohorts works out anew.
select month
from affected_months
union
select month_before
from moved_cohorts
where month_before is not null
union
select activity.month
from moved_cohorts
inner join marts.customer_activity as activity on moved_cohorts.customer_id = activity.customer_id
union
select date_trunc('month', sale.business_date)::date as month
from moved_cohorts
inner join core.sales as sale on moved_cohorts.customer_id = sale.customer_id
union
select activity.month
from marts.customer_activity as activity
where not exists (select from marts.customer_cohorts)
