-- One row per schema and its owner.
select n.nspname, n.nspowner::pg_catalog.regrole::text from pg_catalog.pg_namespace as n
where n.nspname !~ '^(pg_|information_schema$)'
