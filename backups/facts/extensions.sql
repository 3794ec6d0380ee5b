-- One row per extension and its version.
select e.extname, e.extversion from pg_catalog.pg_extension as e
