-- One row: sources late or silent, of all sources that have ever sent anything.
-- Reads marts.data_freshness. Judged as in data_freshness: by the newest record, not by when it was sent.
with judged as (
    select
        warn_after_hours,
        now() - least(last_record_at, last_load_at) as age
    from marts.data_freshness
)

select
    count(*) filter (where age is null or age > make_interval(hours => warn_after_hours))
        as late_source_count,
    count(*) as source_count
from judged
having count(*) > 0
