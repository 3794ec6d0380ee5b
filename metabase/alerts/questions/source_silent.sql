-- One row per source whose newest record is older than its last limit; no row when all is well.
-- Reads marts.data_freshness.
select
    title,
    last_record_at,
    last_load_at,
    error_after_hours
from marts.data_freshness
where
    error_after_hours is not null
    and coalesce(last_record_at, last_load_at) < now() - error_after_hours * interval '1 hour'
order by last_record_at asc nulls first, title asc, source asc
