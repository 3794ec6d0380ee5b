-- One row per view and its definition.
select c.oid::pg_catalog.regclass::text, pg_catalog.pg_get_viewdef(c.oid)
from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname !~ '^(pg_|information_schema$)' and c.relkind in ('v', 'm')
