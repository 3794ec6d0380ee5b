-- One row per source: when it last sent something, and one word for it, judged as data_freshness judges it.
-- The word depends on the clock, so it is part of what makes a cached page old.
with judged as (
    select
        source,
        title,
        last_load_at,
        last_record_at,
        row_count,
        reject_count,
        warn_after_hours,
        error_after_hours,
        now() - least(last_record_at, last_load_at) as age
    from marts.data_freshness
)

select
    source,
    title,
    last_load_at,
    last_record_at,
    row_count,
    reject_count,
    case
        when age <= make_interval(hours => warn_after_hours) then 'fresh'
        when age <= make_interval(hours => error_after_hours) then 'late'
        else 'silent'
    end as freshness_state
from judged
order by title, source
