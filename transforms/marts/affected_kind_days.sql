-- One row per day, store and source whose sales by kind of customer may say something else now: the affected days, all
-- days of a customer whose first purchase is another than it was, and every day while there is none. Reads
-- affected_days, moved_customers, core.sales, marts.daily_customer_kind_sales. No table of its own: what
-- marts.daily_customer_kind_sales replaces.
select business_date, store_id, source
from affected_days
union
select sale.business_date, sale.store_id, sale.source
from moved_customers
inner join core.sales as sale on moved_customers.customer_id = sale.customer_id
union
select sale.business_date, sale.store_id, sale.source
from core.sales as sale
where not exists (select from marts.daily_customer_kind_sales)
