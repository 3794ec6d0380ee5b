-- One row per load refused or failed in the last seven days after which its source and entity loaded nothing.
-- Reads ops.loads.
select
    bad.source || ' load ' || bad.load_id as key,
    format('%%s: %%s', bad.status, bad.reason) as found
from ops.loads as bad
where
    bad.status in ('refused', 'failed')
    and bad.held_by is null
    and coalesce(bad.received_at, bad.started_at) > %(now)s - interval '7 days'
    and not exists (
        select
        from ops.loads as good
        where
            good.source = bad.source
            and good.entity is not distinct from bad.entity
            and good.status = 'loaded'
            and good.load_id > bad.load_id
    )
