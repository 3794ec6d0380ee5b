-- One row per source and table that is late but not silent. Reads freshness.
select
    source || ' ' || table_name as key,
    format(
        'known only until %%s, %%s ago; late after %%s hours',
        to_char(known_until at time zone 'UTC', 'YYYY-MM-DD HH24:MI'),
        case
            when age_hours < 72 then round(age_hours, 1) || ' hours' else round(age_hours / 24) || ' days'
        end,
        warn_after_hours
    ) as found
from freshness
where level = 'late'
