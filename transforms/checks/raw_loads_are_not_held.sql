-- One row per load held back by a check. Reads ops.loads.
select
    source || ' load ' || load_id as key,
    reason as found
from ops.loads
where held_by is not null and status = 'refused'
