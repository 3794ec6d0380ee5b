-- One row per load of the last 14 days of whose records more than 5 percent were rejected. Reads ops.loads.
select
    source || ' load ' || load_id as key,
    format('%%s of %%s records rejected', reject_count, record_count) as found
from ops.loads
where
    status = 'loaded'
    and received_at > %(now)s - interval '14 days'
    and reject_count > 2
    and reject_count > record_count * 0.05
