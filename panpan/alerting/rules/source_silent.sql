-- One row per moment and source that has sent anything: hours since its newest record.
-- The compiler can't say it: the metric data freshness is a moment, and this the time passed since.
-- Reads moments, marts.data_freshness. Judged by the data, never by what was scheduled.
select
    moments.moment,
    fresh.source as name,
    fresh.title,
    round(
        extract(epoch from moments.moment - least(fresh.last_record_at, fresh.last_load_at)) / 3600, 1
    ) as value,
    fresh.error_after_hours::numeric as level
from moments
cross join marts.data_freshness as fresh
