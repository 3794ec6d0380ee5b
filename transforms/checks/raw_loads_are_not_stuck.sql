-- One row per load that is open or received for more than two hours. Reads ops.loads.
select
    source || ' load ' || load_id as key,
    format(
        '%%s since %%s', status, to_char(coalesce(received_at, started_at) at time zone 'UTC', 'YYYY-MM-DD HH24:MI')
    ) as found
from ops.loads
where status in ('open', 'received') and coalesce(received_at, started_at) < %(now)s - interval '2 hours'
