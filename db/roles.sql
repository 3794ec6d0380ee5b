-- The roles of the warehouse; their passwords are set by db/migrate.py, never written here. What each may do with
-- which table stands in db/access.yaml, which `panpan roles test` tries out.
-- owner owns every schema and runs migrations; loader is n8n; transformer is the worker; bi is Metabase and our
-- dashboards; web is our other pages; backup reads everything; auditor reads how figures came to be, nobody's name.
do $$
declare
    role_name text;
begin
    foreach role_name in array array['owner', 'loader', 'transformer', 'bi', 'backup', 'auditor', 'web'] loop
        if not exists (select from pg_roles where rolname = role_name) then
            execute format('create role %I login', role_name);
        end if;
        execute format(
            'alter role %I login noinherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls', role_name
        );
    end loop;
end
$$;

-- A session that stopped in the middle of something must not hold its locks for ever. The worker thinks between
-- statements, minutes long with a large file; a backup's snapshot sets its own limit aside.
alter role owner connection limit 20;
alter role owner set idle_in_transaction_session_timeout = '60min';

-- core.insert_in_bulk looks foreign keys up together. An administrator who is no superuser can't give that: the keys are
-- then looked up row by row, which takes longer.
do $$
begin
    grant set on parameter session_replication_role to owner;
exception
    when insufficient_privilege then
        raise notice 'no right to let owner look foreign keys up together';
end
$$;

alter role loader connection limit 20;
alter role loader set statement_timeout = '300s';
alter role loader set lock_timeout = '120s';
alter role loader set idle_in_transaction_session_timeout = '5min';

-- The worker sorts and groups whole loads; on disk that takes twice as long.
alter role transformer connection limit 40;
alter role transformer set work_mem = '128MB';
alter role transformer set jit = off;
alter role transformer set idle_in_transaction_session_timeout = '60min';

alter role bi connection limit 20;
alter role bi set default_transaction_read_only = on;
alter role bi set statement_timeout = '60s';
alter role bi set lock_timeout = '10s';
alter role bi set idle_in_transaction_session_timeout = '5min';

-- The pages gather the rows behind a figure in temporary tables, which a read-only transaction can't make; the role
-- has no right to write into any other.
alter role web connection limit 20;
alter role web reset default_transaction_read_only;
alter role web set statement_timeout = '60s';
alter role web set lock_timeout = '10s';
alter role web set idle_in_transaction_session_timeout = '5min';

alter role auditor connection limit 5;
alter role auditor set default_transaction_read_only = on;
alter role auditor set statement_timeout = '60s';
alter role auditor set lock_timeout = '10s';
alter role auditor set idle_in_transaction_session_timeout = '5min';

alter role backup connection limit 20;
alter role backup set default_transaction_read_only = on;
alter role backup set idle_in_transaction_session_timeout = '60min';
grant pg_read_all_data to backup with inherit true;

-- Databases that nobody works in are for the superuser alone.
revoke all on database postgres from public;
revoke all on database template1 from public;
