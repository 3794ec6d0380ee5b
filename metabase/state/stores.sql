-- One row per store, the oldest first: a store keeps its colour when another opens.
select store_id
from marts.daily_store_sales
group by store_id
order by min(business_date), store_id
