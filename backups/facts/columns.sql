-- One row per column: type, default, comment.
select n.nspname || '.' || c.relname || '.' || a.attname,
    pg_catalog.concat_ws(' ', pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
        a.attgenerated, pg_catalog.pg_get_expr(e.adbin, e.adrelid), pg_catalog.col_description(c.oid, a.attnum))
from pg_catalog.pg_attribute as a
join pg_catalog.pg_class as c on c.oid = a.attrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
left join pg_catalog.pg_attrdef as e on e.adrelid = c.oid and e.adnum = a.attnum
where n.nspname !~ '^(pg_|information_schema$)' and c.relkind in ('r', 'p', 'v', 'm')
    and a.attnum > 0 and not a.attisdropped
