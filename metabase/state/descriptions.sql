-- One row per mart, and per column of it, that the asking role may read: what the database says it means.
-- Of a mart itself the column has no name.
select
    relation.relname as table_name,
    null as column_name,
    obj_description(relation.oid, 'pg_class') as meaning
from pg_catalog.pg_class as relation
where
    relation.relnamespace = 'marts'::regnamespace
    and relation.relkind in ('r', 'v', 'm', 'p')
    and has_any_column_privilege(relation.oid, 'select')
union all
select
    relation.relname as table_name,
    field.attname as column_name,
    col_description(relation.oid, field.attnum) as meaning
from pg_catalog.pg_class as relation
inner join pg_catalog.pg_attribute as field on relation.oid = field.attrelid
where
    relation.relnamespace = 'marts'::regnamespace
    and relation.relkind in ('r', 'v', 'm', 'p')
    and field.attnum > 0
    and not field.attisdropped
    and has_column_privilege(relation.oid, field.attnum, 'select')
order by table_name, column_name nulls first
