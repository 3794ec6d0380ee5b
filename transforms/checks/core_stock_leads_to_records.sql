-- One row per stock row of an inventory system without its raw record. Reads core.stock_levels, core.stock_movements,
-- core.inventory, raw_inventory.levels, raw_inventory.movements, raw_inventory.items, contract_sources.
with rows as (
    select 'level' as kind, source, raw_id from core.stock_levels
    union all
    select 'movement' as kind, source, raw_id from core.stock_movements where business_date >= %(since)s
    union all
    select 'item' as kind, source, raw_id from core.inventory
)

select distinct
    rows.source || ' ' || rows.kind || ' record ' || rows.raw_id as key,
    'the record is not there' as found
from rows
where
    rows.source in (select contract.source from contract_sources as contract where contract.system = 'inventory')
    and not exists (select from raw_inventory.levels as record where record.raw_id = rows.raw_id)
    and not exists (select from raw_inventory.movements as record where record.raw_id = rows.raw_id)
    and not exists (select from raw_inventory.items as record where record.raw_id = rows.raw_id)
