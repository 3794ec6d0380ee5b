-- One row per customer, store and day with twenty purchases or more. Reads core.sales.
select
    'customer ' || customer_id || ' ' || store_id || ' ' || business_date as key,
    format('%%s purchases', count(*)) as found
from core.sales
where event = 'sale' and customer_id is not null and business_date >= %(since)s
group by customer_id, store_id, business_date
having count(*) >= 20
