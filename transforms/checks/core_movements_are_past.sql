-- One row per movement more than a day ahead. Reads core.stock_movements.
select
    source || ' movement ' || source_movement_id as key,
    format('dated %%s', business_date) as found
from core.stock_movements
where business_date > %(today)s + 1
