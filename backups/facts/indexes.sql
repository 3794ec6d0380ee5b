-- One row per index and its definition.
select i.indexrelid::pg_catalog.regclass::text, i.indisvalid || ' ' || pg_catalog.pg_get_indexdef(i.indexrelid)
from pg_catalog.pg_index as i join pg_catalog.pg_class as c on c.oid = i.indrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname !~ '^(pg_|information_schema$)'
