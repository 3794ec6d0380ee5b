-- One row per table, view or sequence: its kind, owner and options.
select n.nspname || '.' || c.relname,
    pg_catalog.concat_ws(' ', c.relkind, c.relowner::pg_catalog.regrole, c.relpersistence, c.reloptions::text,
        c.relrowsecurity)
from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname !~ '^(pg_|information_schema$)' and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
