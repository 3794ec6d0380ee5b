-- One row per load with records of which nothing became of. Reads ops.loads.
select
    source || ' load ' || load_id as key,
    format('%%s records, no row, no reject', record_count) as found
from ops.loads
where status = 'loaded' and record_count > 0 and coalesce(row_count, 0) = 0 and coalesce(reject_count, 0) = 0
