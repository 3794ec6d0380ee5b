-- One row per person of ten records or more. Reads core.customer_sources.
select
    'customer ' || customer_id as key,
    format('%%s records', count(*)) as found
from core.customer_sources
group by customer_id
having count(*) >= 10
