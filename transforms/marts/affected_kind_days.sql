-- One row per day, store and source whose sales by kind of customer may say something else now: the affected days, all
-- days of a customer whose first purchase is another than it was, and every day while there is none. Reads
-- affected_days, affected_customers, marts.daily_customers (as it was before the batch), core.sales (as it is now),
-- marts.daily_customer_kind_sales. No table of its own: what marts.daily_customer_kind_sales replaces.
with moved as (
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
)

select business_date, store_id, source
from affected_days
union
select sale.business_date, sale.store_id, sale.source
from moved
inner join core.sales as sale on moved.customer_id = sale.customer_id
union
select sale.business_date, sale.store_id, sale.source
from core.sales as sale
where not exists (select from marts.daily_customer_kind_sales)
