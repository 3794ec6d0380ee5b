-- One row per unknown column and source, of the loads of the last 14 days. Reads ops.loads.
select
    load.source || ' ' || unknown.column_name as key,
    format('column "%%s" first came with load %%s', unknown.column_name, min(load.load_id)) as found
from ops.loads as load
cross join lateral jsonb_array_elements_text(coalesce(load.profile -> 'unknown_columns', '[]')) as unknown (column_name)
where load.status = 'loaded' and load.received_at > %(now)s - interval '14 days'
group by load.source, unknown.column_name
