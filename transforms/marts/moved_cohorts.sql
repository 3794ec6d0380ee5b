-- One row per affected customer and currency whose first month of buying is another than it was.
-- Reads affected_customers, marts.customer_activity (as it was before the batch), core.sales (as it is now). No table of
-- its own: so few rows are counted before affected_cohort_months joins them to all receipts.
with affected as (
    select distinct customer_id
    from affected_customers
)

select
    coalesce(was.customer_id, now.customer_id) as customer_id,
    was.month as month_before
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
