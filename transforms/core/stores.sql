-- One row per store named in the batch. Reads stage_seen_stores (contract), stage_stores (a source's own list),
-- core.stores. What the contract says of a store wins; a store only mentioned never renames one that is known better,
-- and an older list never replaces a newer one. Only a list gives a store a raw record.
select
    seen.store_id,
    case
        when seen.is_in_contract then seen.store_name
        else coalesce(listed.store_name, known.store_name, seen.store_name)
    end as store_name,
    case
        when seen.is_in_contract then seen.kind
        else coalesce(listed.kind, known.kind, seen.kind)
    end as kind,
    coalesce(known.time_zone, seen.time_zone) as time_zone,
    coalesce(known.closing_time, seen.closing_time) as closing_time,
    coalesce(listed.city, known.city) as city,
    coalesce(listed.updated_at, known.source_updated_at) as source_updated_at,
    least(known.source, %(source)s) as source,
    coalesce(listed.raw_id, known.raw_id) as raw_id,
    coalesce(listed.load_id, known.load_id) as load_id
from stage_seen_stores as seen
left join (
    select distinct on (item.store_id) item.*
    from stage_stores as item
    left join core.stores as before on item.store_id = before.store_id
    where core.may_replace(item.updated_at, item.raw_id, before.source_updated_at, before.raw_id)
    order by item.store_id asc, item.updated_at desc nulls last, item.raw_id desc
) as listed on seen.store_id = listed.store_id
left join core.stores as known on seen.store_id = known.store_id
