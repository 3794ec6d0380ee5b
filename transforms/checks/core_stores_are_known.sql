-- One row per store of unknown kind at a source that has known ones. Reads core.stores.
select
    'store ' || store_id as key,
    format('"%%s" stands in no contract', store_name) as found
from core.stores as store
where
    kind = 'unknown'
    and exists (select from core.stores as known where known.source = store.source and known.kind <> 'unknown')
