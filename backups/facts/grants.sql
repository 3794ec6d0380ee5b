-- One row per right: who may do what with what.
select who.name || ' ' || pg_catalog.lower(who.privilege_type) || ' ' || who.object, who.is_grantable::text
from (
    select 'schema ' || n.nspname as object, a.privilege_type, a.is_grantable,
        case a.grantee when 0 then 'public' else a.grantee::pg_catalog.regrole::text end as name
    from pg_catalog.pg_namespace as n,
        pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) as a
   
where n.nspname !~ '^(pg_|information_schema$)'
    union all
    select n.nspname || '.' || c.relname, a.privilege_type, a.is_grantable,
        case a.grantee when 0 then 'public' else a.grantee::pg_catalog.regrole::text end
    from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace,
        pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault(
            case c.relkind when 'S' then 's'::"char" else 'r'::"char" end, c.relowner))) as a
   
where n.nspname !~ '^(pg_|information_schema$)' and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
    union all
    select n.nspname || '.' || c.relname || '.' || t.attname, a.privilege_type, a.is_grantable,
        case a.grantee when 0 then 'public' else a.grantee::pg_catalog.regrole::text end
    from pg_catalog.pg_attribute as t join pg_catalog.pg_class as c on c.oid = t.attrelid
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace,
        pg_catalog.aclexplode(t.attacl) as a
   
where n.nspname !~ '^(pg_|information_schema$)' and not t.attisdropped
    union all
    select p.oid::pg_catalog.regprocedure::text, a.privilege_type, a.is_grantable,
        case a.grantee when 0 then 'public' else a.grantee::pg_catalog.regrole::text end
    from pg_catalog.pg_proc as p join pg_catalog.pg_namespace as n on n.oid = p.pronamespace,
        pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) as a
   
where n.nspname !~ '^(pg_|information_schema$)'
    and not exists (
        select from pg_catalog.pg_depend as d 
        where d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid and d.deptype = 'e'
    )
    union all
    select pg_catalog.concat_ws(' ', 'new', f.defaclobjtype, n.nspname, 'of', f.defaclrole::pg_catalog.regrole),
        a.privilege_type, a.is_grantable,
        case a.grantee when 0 then 'public' else a.grantee::pg_catalog.regrole::text end
    from pg_catalog.pg_default_acl as f left join pg_catalog.pg_namespace as n on n.oid = f.defaclnamespace,
        pg_catalog.aclexplode(f.defaclacl) as a
    union all
    select 'this database', a.privilege_type, a.is_grantable,
        case a.grantee when 0 then 'public' else a.grantee::pg_catalog.regrole::text end
    from pg_catalog.pg_database as b,
        pg_catalog.aclexplode(coalesce(b.datacl, pg_catalog.acldefault('d', b.datdba))) as a
    where b.datname = pg_catalog.current_database()
) as who
