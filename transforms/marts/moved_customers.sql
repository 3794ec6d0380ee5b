-- One row per affected customer whose first purchase is on another day than it was.
-- Reads affected_customers, marts.daily_customers (as it was before the batch), core.sales (as it is now). No table of
-- its own: so few rows are counted before affected_kind_days joins them to all receipts, else the planner expects many.
select coalesce(was.customer_id, now.customer_id) as customer_id
from (
    select known.customer_id, min(known.first_purchase_on) as first_purchase_on
    from (select distinct customer_id from affected_customers) as affected
    inner join marts.daily_customers as known on affected.customer_id = known.customer_id
    group by known.customer_id
) as was
full join (
    select sale.customer_id, min(sale.business_date) as first_purchase_on
    from (select distinct customer_id from affected_customers) as affected
    inner join core.sales as sale on affected.customer_id = sale.customer_id
    where sale.event = 'sale'
    group by sale.customer_id
) as now on was.customer_id = now.customer_id
where was.first_purchase_on is distinct from now.first_purchase_on
