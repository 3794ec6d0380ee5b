-- One row per source and table it fills, of the sources that ever sent or tried to. Reads contract_tables, ops.loads.
-- Receipts and movements are known until their newest record, but never later than something arrived; lists of things
-- that seldom change (people, products, levels, deliveries) until they last arrived.
with heard as (
    select
        contract.source,
        contract.title,
        contract.owner,
        contract.table_name,
        contract.warn_after_hours,
        contract.error_after_hours,
        max(load.newest_record_at) filter (where load.status = 'loaded') as last_record_at,
        max(load.received_at) filter (where load.status = 'loaded') as last_load_at,
        case
            when contract.is_judged_by_records
                then least(
                    max(load.newest_record_at) filter (where load.status = 'loaded'),
                    max(load.received_at) filter (where load.status = 'loaded')
                )
            else max(load.received_at) filter (where load.status = 'loaded')
        end as known_until
    from contract_tables as contract
    inner join ops.loads as load
        on contract.source = load.source and contract.entity is not distinct from load.entity
    group by
        contract.source, contract.title, contract.owner, contract.table_name, contract.warn_after_hours,
        contract.error_after_hours, contract.is_judged_by_records
)

select
    source,
    title,
    owner,
    table_name,
    warn_after_hours,
    error_after_hours,
    last_record_at,
    last_load_at,
    known_until,
    extract(epoch from %(now)s - known_until) / 3600 as age_hours,
    case
        when %(now)s - known_until <= make_interval(hours => warn_after_hours) then 'fresh'
        when %(now)s - known_until <= make_interval(hours => error_after_hours) then 'late'
        else 'silent'
    end as level
from heard
