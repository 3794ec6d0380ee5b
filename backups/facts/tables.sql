-- One row per table that holds rows.
select n.nspname, c.relname from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where c.relkind in ('r', 'm') and c.relpersistence = 'p' and n.nspname !~ '^(pg_|information_schema$)' order by 1, 2
