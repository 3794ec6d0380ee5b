-- One row per source and table that is silent. Reads freshness.
select
    source || ' ' || table_name as key,
    case
        when known_until is null then format('nothing was ever received; silent after %%s hours', error_after_hours)
        else
            format(
                'known only until %%s, %%s ago; silent after %%s hours',
                to_char(known_until at time zone 'UTC', 'YYYY-MM-DD HH24:MI'),
                case
                    when age_hours < 72 then round(age_hours, 1) || ' hours' else round(age_hours / 24) || ' days'
                end,
                error_after_hours
            )
    end as found
from freshness
where level = 'silent'
