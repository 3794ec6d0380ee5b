-- How n8n delivers files: it may execute these functions and has no right on any table.
-- A file arrives in one statement, as one load, all or nothing.
-- Every function may be called again with the same arguments: n8n repeats a statement whose answer got lost.

alter table ops.loads
add column endpoint text,
add column window_to timestamptz,
add column next_page integer,
add column next_cursor text,
add column newest_record_at timestamptz,
add column active_at timestamptz not null default clock_timestamp();
comment on column ops.loads.endpoint is
'API loads: which of the source''s endpoints; several may bring one entity.';
comment on column ops.loads.window_to is
'API loads: end of the asked window of change times; null where the source knows none.';
comment on column ops.loads.next_page is 'API loads: the page to ask for next, from 1.';
comment on column ops.loads.next_cursor is 'API loads: the cursor the last answer gave.';
comment on column ops.loads.newest_record_at is 'Latest change time among the records received.';
comment on column ops.loads.active_at is 'Last sign of life; an open load without one is abandoned.';

create index loads_execution_id_open_idx on ops.loads (execution_id) where status = 'open';

alter table ops.inbox_files
add column offered_to text,
add column is_by_reference boolean not null default false,
add column archived_at timestamptz;
comment on column ops.inbox_files.path is 'Relative to the home folder: inbox/<source>/<name>.';
comment on column ops.inbox_files.offered_to is 'Run that was last told of this file.';
comment on column ops.inbox_files.is_by_reference is 'A large file: its load has no copy of the content.';
comment on column ops.inbox_files.archived_at is 'When the file had left the inbox for good.';
create index inbox_files_taken_idx on ops.inbox_files (file_id) where state = 'taken' and archived_at is null;
create index inbox_files_load_id_idx on ops.inbox_files (load_id) where load_id is not null;

-- ----------------------------------------------------------------------------------------------------
-- Parts used by the functions below; nobody else may execute them.

create function ops.iso_time(p_time timestamptz) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
return to_char(p_time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');

-- A file name is literal: n8n reads its path as a pattern.
create function ops.literal_pattern(p_path text) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
return regexp_replace(p_path, '([\\*?{|}()\[\]]|[!+@](?=\())', '\\\1', 'g');

-- Where a taken file is kept, relative to the home folder. File names end at 255 bytes.
create function ops.archive_path(p_source text, p_sha256 bytea, p_name text) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
return format(
    'archive/%s/%s-%s', p_source, encode(p_sha256, 'hex'),
    case when octet_length(p_name) > 180 then right(p_name, 45) else p_name end
);

create function ops.add_document(
    p_load_id bigint, p_name text, p_media_type text, p_entity text,
    p_content bytea, p_stored_path text, p_byte_count bigint, p_sha256 bytea
) returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    v_document_id bigint := nextval('ops.document_ids');
    v_system text;
begin
    select s.system into strict v_system
    from ops.loads as l
    inner join ops.source_settings as s on s.source = l.source
    where l.load_id = p_load_id;
    execute format(
        'insert into %I.documents'
        ' (document_id, load_id, entity, name, media_type, content, stored_path, byte_count, sha256)'
        ' values ($1, $2, $3, $4, $5, $6, $7, $8, $9)', 'raw_' || v_system
    )
    using v_document_id, p_load_id, p_entity, p_name, p_media_type,
        p_content, p_stored_path, p_byte_count, p_sha256;
    update ops.loads
    set document_count = document_count + 1, byte_count = byte_count + p_byte_count,
        active_at = clock_timestamp()
    where load_id = p_load_id;
    return v_document_id;
end
$$;

create function ops.mark_received(p_load_id bigint) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    update ops.loads
    set status = 'received', received_at = clock_timestamp(), active_at = clock_timestamp()
    where load_id = p_load_id and status = 'open';
    perform pg_notify('load_received', p_load_id::text);
end
$$;

create function ops.mark_failed(p_load_id bigint, p_reason text) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    update ops.loads
    set status = 'failed', reason = left(p_reason, 2000), finished_at = clock_timestamp()
    where load_id = p_load_id and status = 'open'
$$;

-- Opens the load of one file, or finds that its bytes came before. Of two runs with the same bytes one waits.
create function ops.open_file_load(
    p_file ops.inbox_files, p_workflow text, p_execution_id text, p_run_key text
) returns ops.loads
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    v_load ops.loads;
    v_earlier ops.loads;
begin
    loop
        insert into ops.loads as l (source, run_key, workflow, execution_id, file_name, sha256)
        values (p_file.source, p_run_key, p_workflow, p_execution_id, p_file.name, p_file.sha256)
        on conflict (source, sha256)
        where sha256 is not null and status in ('open', 'received', 'loaded', 'refused') do nothing
        returning l.* into v_load;
        exit when found;
        select l.* into v_earlier
        from ops.loads as l
        where l.source = p_file.source and l.sha256 = p_file.sha256
            and l.status in ('open', 'received', 'loaded', 'refused');
        if found then
            insert into ops.loads as l (
                source, run_key, workflow, execution_id, file_name, sha256, record_count, row_count,
                status, reason, finished_at
            )
            values (
                p_file.source, p_run_key, p_workflow, p_execution_id, p_file.name, p_file.sha256, 0, 0,
                'duplicate',
                format(
                    'the same content came as load %s (%s, %s)',
                    v_earlier.load_id, v_earlier.file_name, v_earlier.status
                ),
                clock_timestamp()
            )
            returning l.* into v_load;
            exit;
        end if;
        -- the earlier load failed between the two statements: try again
    end loop;
    update ops.inbox_files set state = 'taken', load_id = v_load.load_id where file_id = p_file.file_id;
    return v_load;
end
$$;

-- ----------------------------------------------------------------------------------------------------
-- Files

create function ops.waiting_files(
    p_source text, p_run_key text, p_is_inline boolean default null, p_inline_bytes bigint default null
) returns table (file_id bigint, source text, path text, byte_count bigint, is_inline boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    -- n8n holds the files of one call in memory together
    c_call_bytes constant bigint := 16777216;
    c_call_files constant integer := 200;
begin
    return query
    with candidates as (
        select
            f.file_id, f.source, f.path, f.byte_count, s.settings ->> 'home' as home,
            f.byte_count
            <= coalesce(p_inline_bytes, (s.settings ->> 'inline_bytes')::bigint, c_call_bytes) as is_inline
        from ops.inbox_files as f
        inner join ops.source_settings as s on s.source = f.source
        where f.state = 'waiting' and (p_source is null or f.source = p_source)
            -- a file that failed in this run is left for the next one
            and not exists (
                select from ops.inbox_files as earlier
                inner join ops.loads as l on l.load_id = earlier.load_id
                where earlier.path = f.path and l.run_key = p_run_key and l.status = 'failed'
            )
    ),
    counted as (
        select
            c.*,
            row_number() over (order by c.file_id) as place,
            sum(case when c.is_inline then c.byte_count else 0 end) over (order by c.file_id) as bytes_so_far
        from candidates as c
        where p_is_inline is null or c.is_inline = p_is_inline
    ),
    offered as (
        update ops.inbox_files as f
        set offered_to = p_run_key
        from counted as c
        where f.file_id = c.file_id and f.state = 'waiting'
            and c.place <= c_call_files and (c.bytes_so_far <= c_call_bytes or c.place = 1)
        returning f.file_id, c.source, c.home, c.path, c.byte_count, c.is_inline
    )
    select
        o.file_id, o.source, ops.literal_pattern(coalesce(o.home || '/', '') || o.path),
        o.byte_count, o.is_inline
    from offered as o
    order by o.file_id;
end
$$;
comment on function ops.waiting_files is
'Files to fetch next: at most 16 MiB or 200 files, at least one. path has its pattern characters escaped.';

create function ops.fail_file(
    p_file_id bigint, p_workflow text, p_execution_id text, p_run_key text, p_message text
) returns table (load_id bigint, status text, reason text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_file ops.inbox_files;
    v_load_id bigint;
begin
    select f.* into strict v_file from ops.inbox_files as f where f.file_id = p_file_id for update;
    if v_file.state = 'waiting' then
        insert into ops.loads as l (
            source, run_key, workflow, execution_id, file_name, sha256, status, reason, finished_at
        )
        values (
            v_file.source, p_run_key, p_workflow, p_execution_id, v_file.name, v_file.sha256, 'failed',
            left(coalesce(p_message, 'n8n could not read the file'), 2000), clock_timestamp()
        )
        returning l.load_id into v_load_id;
        -- still there at the next scan: registered anew and tried again
        update ops.inbox_files as f set state = 'gone', load_id = v_load_id where f.file_id = p_file_id;
    end if;
    return query
    select l.load_id, l.status, l.reason
    from ops.inbox_files as f inner join ops.loads as l on l.load_id = f.load_id
    where f.file_id = p_file_id;
end
$$;

create function ops.deliver_file(
    p_file_id bigint, p_content text, p_workflow text, p_execution_id text, p_run_key text,
    p_error text default null
) returns table (load_id bigint, status text, reason text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_file ops.inbox_files;
    v_load ops.loads;
    v_content bytea;
    v_sha256 bytea;
begin
    select f.* into strict v_file from ops.inbox_files as f where f.file_id = p_file_id for update;
    if v_file.state = 'waiting' then
        v_content := decode(p_content, 'base64');
        v_sha256 := sha256(v_content);
        if p_error is not null or v_content is null then
            perform ops.fail_file(
                p_file_id, p_workflow, p_execution_id, p_run_key,
                format('n8n could not read %s: %s', v_file.name, coalesce(p_error, 'no content'))
            );
        elsif v_sha256 <> v_file.sha256 then
            perform ops.fail_file(
                p_file_id, p_workflow, p_execution_id, p_run_key,
                format(
                    '%s changed while being read: %s bytes registered, %s bytes read',
                    v_file.name, v_file.byte_count, length(v_content)
                )
            );
        else
            v_load := ops.open_file_load(v_file, p_workflow, p_execution_id, p_run_key);
            if v_load.status = 'open' then
                perform ops.add_document(
                    v_load.load_id, v_file.name, null, null, v_content, null, length(v_content)::bigint, v_sha256
                );
                perform ops.mark_received(v_load.load_id);
            end if;
        end if;
    end if;
    return query
    select l.load_id, l.status, l.reason
    from ops.inbox_files as f inner join ops.loads as l on l.load_id = f.load_id
    where f.file_id = p_file_id;
end
$$;
comment on function ops.deliver_file is
'Takes one file, base64, as one load; it must have the sha256 it was registered by. Known bytes: duplicate.';

create function ops.register_file(p_file_id bigint, p_workflow text, p_execution_id text, p_run_key text)
returns table (load_id bigint, status text, reason text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_file ops.inbox_files;
    v_load ops.loads;
begin
    select f.* into strict v_file from ops.inbox_files as f where f.file_id = p_file_id for update;
    if v_file.state = 'waiting' then
        v_load := ops.open_file_load(v_file, p_workflow, p_execution_id, p_run_key);
        if v_load.status = 'open' then
            perform ops.add_document(
                v_load.load_id, v_file.name, null, null, null,
                ops.archive_path(v_file.source, v_file.sha256, v_file.name),
                v_file.byte_count, v_file.sha256
            );
            update ops.inbox_files as f set is_by_reference = true where f.file_id = p_file_id;
            perform ops.mark_received(v_load.load_id);
        end if;
    end if;
    return query
    select l.load_id, l.status, l.reason
    from ops.inbox_files as f inner join ops.loads as l on l.load_id = f.load_id
    where f.file_id = p_file_id;
end
$$;
comment on function ops.register_file is
'Takes one large file by name and sha256 only; the worker reads it from the archive under the same load.';

-- ----------------------------------------------------------------------------------------------------
-- The end of a run

create function ops.report(p_run_key text) returns jsonb
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
    select jsonb_build_object('run_key', p_run_key, 'loads', coalesce(jsonb_agg(
        jsonb_build_object(
            'load_id', l.load_id, 'source', l.source, 'entity', l.entity, 'status', l.status, 'reason', l.reason,
            'documents', l.document_count, 'file', l.file_name
        ) order by l.load_id
    ), '[]'))
    from ops.loads as l
    where l.run_key = p_run_key
$$;

create function ops.finish_run(
    p_workflow text, p_execution_id text, p_run_key text, p_status text default 'done'
) returns table (status text, failed_loads integer, message text, report jsonb)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_file_id bigint;
begin
    for v_file_id in
        select f.file_id
        from ops.inbox_files as f
        inner join ops.source_settings as s on s.source = f.source
        where f.state = 'waiting' and f.offered_to = p_run_key
    loop
        perform ops.fail_file(
            v_file_id, p_workflow, p_execution_id, p_run_key, 'n8n was told of the file and did not deliver it'
        );
    end loop;
    perform ops.mark_failed(l.load_id, 'the run ended before the last page')
    from ops.loads as l
    where l.run_key = p_run_key and l.status = 'open';
    return query
    select
        p_status,
        count(*) filter (where l.status = 'failed')::integer,
        coalesce(
            format('%s of %s loads failed: ', count(*) filter (where l.status = 'failed'), count(*))
            || string_agg(coalesce(l.file_name || ': ', '') || l.reason, '; ' order by l.load_id)
            filter (where l.status = 'failed'),
            format('%s loads', count(*))
        ),
        ops.report(p_run_key) || jsonb_build_object('status', p_status)
    from ops.loads as l
    where l.run_key = p_run_key;
end
$$;
comment on function ops.finish_run is 'Ends a run: what it left undone has failed. Always one row.';

create function ops.record_workflow_error(
    p_workflow text, p_execution_id text, p_node text, p_message text, p_details jsonb default null
) returns bigint
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_error_id bigint;
begin
    select e.error_id into v_error_id
    from ops.workflow_errors as e
    where e.workflow is not distinct from p_workflow and e.execution_id = p_execution_id
        and e.message is not distinct from left(p_message, 4000)
        and e.happened_at > now() - interval '10 minutes';
    if not found then
        insert into ops.workflow_errors (workflow, execution_id, node, message, details)
        values (
            p_workflow, p_execution_id, p_node, left(p_message, 4000),
            case when length(p_details::text) < 100000 then p_details end
        )
        returning error_id into v_error_id;
    end if;
    perform ops.mark_failed(
        l.load_id, format('the workflow failed at %s: %s', coalesce(p_node, 'its start'), p_message)
    )
    from ops.loads as l
    where l.execution_id = p_execution_id and l.workflow is not distinct from p_workflow and l.status = 'open';
    return v_error_id;
end
$$;

create function ops.fail_abandoned_loads(p_older_than interval) returns integer
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    v_count integer;
begin
    perform ops.mark_failed(
        l.load_id, format('abandoned: nothing was heard of it since %s', ops.iso_time(l.active_at))
    )
    from ops.loads as l
    where l.status = 'open' and l.active_at < clock_timestamp() - p_older_than;
    get diagnostics v_count = row_count;
    return v_count;
end
$$;

grant execute on function
ops.waiting_files, ops.deliver_file, ops.register_file, ops.fail_file,
ops.report, ops.finish_run, ops.record_workflow_error
to loader;
grant execute on function ops.fail_abandoned_loads, ops.report, ops.archive_path to transformer;
