-- One row per source that has sent anything, the most worrying first.
-- Reads marts.data_freshness. Judged by the newest record, so a source that repeats old rows is noticed,
-- and never by a moment after its arrival. Asks what time it is: silence can't be seen otherwise.
with judged as (
    select
        title,
        source,
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
    case
        when age <= make_interval(hours => warn_after_hours) then 'fresh'
        when age <= make_interval(hours => error_after_hours) then 'late'
        else 'silent'
    end as freshness_state,
    title,
    source,
    last_record_at,
    last_load_at,
    row_count,
    reject_count,
    round(1.0 * reject_count / nullif(row_count + reject_count, 0), 4) as reject_share,
    warn_after_hours,
    error_after_hours
from judged
order by
    case
        when age <= make_interval(hours => warn_after_hours) then 3
        when age <= make_interval(hours => error_after_hours) then 2
        else 1
    end,
    title,
    source
