-- One row per source and table that is late but not silent. Reads freshness.
select
    source || ' ' || table_name as key,
    format(
        'known only until %%s, %%s hours ago; late after %%s hours',
        to_char(known_until at time zone 'UTC', 'YYYY-MM-DD HH24:MI'),
        round(age_hours, 1),
        warn_after_hours
    ) as found
from freshness
where level = 'late'
