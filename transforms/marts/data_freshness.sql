-- One row per source that has sent anything. Reads ops.loads, contract_sources (title and limits of each contract).
-- Fresh is what the newest record says, not when the scheduler last ran.
select
    contract.source,
    contract.title,
    max(load.received_at) as last_load_at,
    max(load.newest_record_at) as last_record_at,
    contract.warn_after_hours,
    contract.error_after_hours,
    coalesce(sum(load.row_count), 0)::bigint as row_count,
    coalesce(sum(load.reject_count), 0)::bigint as reject_count
from contract_sources as contract
inner join ops.loads as load on contract.source = load.source and load.status = 'loaded'
group by contract.source, contract.title, contract.warn_after_hours, contract.error_after_hours
