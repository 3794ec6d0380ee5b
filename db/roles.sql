-- The roles of the warehouse; their passwords are set by db/migrate.py, never written here.
-- owner owns every schema and runs migrations; loader is n8n; transformer is the worker; bi is Metabase and our pages;
-- backup reads everything and writes nothing.
do $$
declare
    role_name text;
begin
    foreach role_name in array array['owner', 'loader', 'transformer', 'bi', 'backup'] loop
        if not exists (select from pg_roles where rolname = role_name) then
            execute format('create role %I login noinherit nosuperuser nocreatedb nocreaterole', role_name);
        end if;
    end loop;
end
$$;

alter role loader connection limit 20;
alter role bi connection limit 20;
alter role bi set default_transaction_read_only = on;
alter role bi set statement_timeout = '60s';
alter role loader set statement_timeout = '300s';
-- The worker sorts and groups whole loads; on disk that takes twice as long.
alter role transformer set work_mem = '128MB';
alter role transformer set jit = off;

alter role backup connection limit 20;
alter role backup set default_transaction_read_only = on;
grant pg_read_all_data to backup with inherit true;
