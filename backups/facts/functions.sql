-- One row per function of ours: owner and text; those of extensions come with them.
select p.oid::pg_catalog.regprocedure::text,
    p.proowner::pg_catalog.regrole || ' ' || pg_catalog.pg_get_functiondef(p.oid)
from pg_catalog.pg_proc as p join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
where n.nspname !~ '^(pg_|information_schema$)' and p.prokind in ('f', 'p')
    and not exists (
        select from pg_catalog.pg_depend as d 
        where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid and d.deptype = 'e'
    )
