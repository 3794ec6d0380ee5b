-- One row per source and entity whose last three loads failed or were refused. Reads ops.loads.
with numbered as (
    select
        source,
        coalesce(entity, 'files') as entity,
        status,
        reason,
        row_number() over (partition by source, coalesce(entity, 'files') order by load_id desc) as place
    from ops.loads
    where status in ('loaded', 'failed', 'refused')
)

select
    source || ' ' || entity as key,
    format('the last three loads came to nothing, the newest because: %%s', max(reason) filter (where place = 1))
        as found
from numbered
where place <= 3
group by source, entity
having count(*) = 3 and bool_and(status in ('failed', 'refused'))
