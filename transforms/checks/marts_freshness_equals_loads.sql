-- One row per source whose freshness as shown differs from its loads. Reads marts.data_freshness, ops.loads.
select
    shown.source as key,
    format('shown %%s, loaded %%s', shown.last_record_at, max(load.newest_record_at)) as found
from marts.data_freshness as shown
inner join ops.loads as load on shown.source = load.source and load.status = 'loaded'
group by shown.source, shown.last_record_at, shown.last_load_at
having
    shown.last_record_at is distinct from max(load.newest_record_at)
    or shown.last_load_at is distinct from max(load.received_at)
