-- One row per sequence.
select n.nspname, c.relname from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where c.relkind = 'S' and n.nspname !~ '^(pg_|information_schema$)' order by 1, 2
