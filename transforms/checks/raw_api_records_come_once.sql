-- One row per load of the last 14 days in which more than one record in twenty has an id that came before in it.
-- Reads raw_pos.orders, raw_crm.contacts, raw_inventory.movements, ops.loads.
with records as (
    select load_id, source_record_id from raw_pos.orders
    union all
    select load_id, source_record_id from raw_crm.contacts
    union all
    select load_id, source_record_id from raw_inventory.movements
)

select
    load.source || ' load ' || load.load_id as key,
    format(
        '%%s of %%s records repeat an id', count(*) - count(distinct records.source_record_id), count(*)
    ) as found
from ops.loads as load
inner join records on load.load_id = records.load_id
where load.received_at > %(now)s - interval '14 days' and records.source_record_id is not null
group by load.source, load.load_id
having count(*) - count(distinct records.source_record_id) > count(*) / 20.0
