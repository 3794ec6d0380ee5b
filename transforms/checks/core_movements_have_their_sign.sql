-- One row per movement whose sign is not that of its kind. Reads core.stock_movements.
select
    source || ' movement ' || source_movement_id as key,
    format('%%s of %%s', kind, quantity) as found
from core.stock_movements
where
    business_date >= %(since)s
    and ((kind in ('sale', 'use') and quantity > 0) or (kind in ('delivery', 'production', 'opening') and quantity < 0))
