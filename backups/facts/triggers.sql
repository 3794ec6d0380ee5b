-- One row per trigger and its definition.
select t.tgrelid::pg_catalog.regclass || '.' || t.tgname, t.tgenabled::text || ' ' || pg_catalog.pg_get_triggerdef(t.oid)
from pg_catalog.pg_trigger as t join pg_catalog.pg_class as c on c.oid = t.tgrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname !~ '^(pg_|information_schema$)' and not t.tgisinternal
