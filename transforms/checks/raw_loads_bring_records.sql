-- One row per load of the last seven days that is empty though the five before it were not. Reads ops.loads.
with numbered as (
    select
        source,
        load_id,
        record_count,
        received_at,
        min(record_count) over before as least_before,
        count(*) over before as loads_before
    from ops.loads
    where status = 'loaded'
    window before as (
        partition by source, coalesce(entity, 'files') order by load_id rows between 5 preceding and 1 preceding
    )
)

select
    source || ' load ' || load_id as key,
    format('no record; the five loads before brought at least %%s each', least_before) as found
from numbered
where record_count = 0 and least_before > 0 and loads_before = 5 and received_at > %(now)s - interval '7 days'
