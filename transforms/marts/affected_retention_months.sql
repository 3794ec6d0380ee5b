-- One row per month whose retention may say something else now: the affected months with their neighbours, the months
-- since the newest that was over, and every month while there is none. Reads affected_months, marts.customer_activity,
-- marts.daily_store_sales, marts.customer_retention. No table of its own: what marts.customer_retention replaces.
select (affected.month + shift.months * interval '1 month')::date as month
from affected_months as affected
cross join (values (-1), (0), (1)) as shift (months)
union
select since.month::date as month
from (select max(month) as month from marts.customer_retention) as known
cross join (select max(business_date) as business_date from marts.daily_store_sales) as newest
cross join
    lateral generate_series(known.month + interval '1 month', newest.business_date, interval '1 month')
        as since (month)
union
select (activity.month + interval '1 month')::date as month
from marts.customer_activity as activity
where not exists (select from marts.customer_retention)
