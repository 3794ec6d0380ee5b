-- One row per constraint and its definition. Those for not null are told with the columns: a dump may rename them.
select n.nspname || '.' || t.conrelid::pg_catalog.regclass || '.' || t.conname,
    t.convalidated || ' ' || pg_catalog.pg_get_constraintdef(t.oid)
from pg_catalog.pg_constraint as t join pg_catalog.pg_namespace as n on n.oid = t.connamespace
where n.nspname !~ '^(pg_|information_schema$)' and t.contype <> 'n'
