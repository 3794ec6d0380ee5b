-- How n8n pulls APIs: it asks for the next request, sends it, and hands in the answer, until all is done.
-- The source's settings say where pages, cursors and change times are; n8n knows none of it.
-- Like the functions for files, these may be called again with the same arguments and do nothing twice.

-- One pull of a source at a time, whatever n8n starts.
create unique index loads_open_pull_source_key on ops.loads (source)
where status = 'open' and endpoint is not null;
alter table ops.load_requests
add column cursor_sent text,
add column cursor_received text,
add column document_id bigint,
add column wait_seconds numeric,
add column records_hash bytea,
add column fault text;

-- A backfill is a run with a window of its own; such a run moves no watermark.
create table ops.requested_windows (
    run_key text primary key,
    source text not null,
    window_from timestamptz not null,
    window_to timestamptz not null,
    requested_at timestamptz not null default clock_timestamp(),
    constraint requested_windows_has_a_length_check check (window_from < window_to)
);

create function ops.percent_encoded(p_text text) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(string_agg(
        case when one ~ '^(3\d|4[1-9a-f]|5[0-9a]|6[1-9a-f]|7[0-9a]|2d|2e|5f|7e)$'
            then convert_from(decode(one, 'hex'), 'UTF8') else '%' || upper(one) end,
        '' order by place
    ), '')
    from (
        select place, substr(digits, place * 2 + 1, 2) as one
        from (select encode(convert_to(p_text, 'UTF8'), 'hex') as digits) as encoded,
            generate_series(0, length(digits) / 2 - 1) as place
    ) as each_byte
$$;

create function ops.excerpt(p_text text) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
return trim(left(
    regexp_replace(regexp_replace(left(p_text, 4000), '<[^>]*>', ' ', 'g'), '\s+', ' ', 'g'), 160
));

-- What one answer says about the pull: a fault worth another try, or where to go on and the newest change time.
create function ops.read_page(
    p_endpoint jsonb, p_page integer, p_content bytea,
    out fault text, out is_last boolean, out next_cursor text, out newest timestamptz, out records_hash bytea
)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    v_text text;
    v_json jsonb;
    v_records jsonb;
    v_value jsonb;
    v_root text[];
    v_pages integer;
begin
    if coalesce(length(p_content), 0) = 0 then
        fault := 'the answer is empty';
        return;
    end if;
    begin
        v_text := convert_from(p_content, 'UTF8');
    exception when others then
        if p_endpoint ->> 'paging' <> 'xml_pages' then
            fault := 'the answer is not UTF-8 text';
            return;
        end if;
        -- only the root's attributes are read here; the worker reads the bytes by their own declaration
        v_text := convert_from(p_content, 'LATIN1');
    end;
    v_text := btrim(v_text, chr(65279) || E' \t\r\n');
    if v_text ~* '^<(!doctype\s+html|html)' then
        fault := 'the answer is a web page: ' || ops.excerpt(v_text);
        return;
    end if;

    if p_endpoint ->> 'paging' = 'xml_pages' then
        v_text := regexp_replace(v_text, '^<\?[^>]*\?>\s*', '');
        v_text := regexp_replace(v_text, '^(<!--([^-]|-[^-])*-->\s*)+', '');
        v_root := regexp_match(left(v_text, 4000), '^<([A-Za-z_][\w.:-]*)(\s[^>]*)?>');
        if v_root is null or (
            coalesce(v_root[2], '') !~ '/$'
            and right(v_text, length(v_root[1]) + 3) <> format('</%s>', v_root[1])
        ) then
            fault := 'the answer is not whole XML';
            return;
        end if;
        if v_root[1] <> p_endpoint ->> 'records' then
            fault := format('the answer is <%s>, expected <%s>', v_root[1], p_endpoint ->> 'records');
            return;
        end if;
        v_pages := substring(v_root[2] from '\spages\s*=\s*["''](\d+)["'']')::integer;
        if v_pages is null then
            fault := format('<%s> does not say how many pages there are', v_root[1]);
        elsif substring(v_root[2] from '\spage\s*=\s*["''](\d+)["'']')::integer is distinct from p_page then
            fault := format('page %s was asked for, another came', p_page);
        else
            is_last := p_page >= v_pages;
            records_hash := case when v_text like '%</%</%' or v_text like '%/>%</%'
                then sha256(convert_to(substr(v_text, strpos(v_text, '>') + 1), 'UTF8')) end;
        end if;
        return;
    end if;

    -- jsonb knows neither the zero character nor half a surrogate pair; both are legal JSON
    v_text := replace(v_text, '\u0000', '\ufffd');
    begin
        v_json := v_text::jsonb;
    exception when others then
        if not v_text is json then
            fault := 'the answer is not JSON: ' || ops.excerpt(v_text);
            return;
        end if;
        v_json := regexp_replace(v_text, '\\u[dD][89a-fA-F][0-9a-fA-F]{2}', '\\ufffd', 'g')::jsonb;
    end;
    if p_endpoint ? 'code' and (v_json #>> array[p_endpoint ->> 'code']) is distinct from '0' then
        fault := format(
            'the answer has %s %s: %s',
            p_endpoint ->> 'code', coalesce(v_json #>> array[p_endpoint ->> 'code'], 'missing'),
            coalesce(v_json ->> 'message', 'no message')
        );
        return;
    end if;
    v_records := jsonb_path_query_first(v_json, (p_endpoint ->> 'records')::jsonpath);
    if v_records is null and v_json = '{}' and p_endpoint ->> 'paging' = 'cursor' then
        is_last := true; -- "nothing" in the words of some systems
        return;
    end if;
    if v_records is null or jsonb_typeof(v_records) <> 'array' then
        fault := format('the answer has no list %s: %s', p_endpoint ->> 'records', ops.excerpt(v_json::text));
        return;
    end if;
    records_hash := case when v_records <> '[]' then sha256(convert_to(v_records::text, 'UTF8')) end;
    if p_endpoint ->> 'paging' = 'cursor' then
        v_value := jsonb_path_query_first(v_json, (p_endpoint ->> 'cursor')::jsonpath);
        next_cursor := nullif(v_value #>> '{}', '');
        is_last := next_cursor is null;
    elsif p_endpoint ->> 'paging' = 'pages' then
        v_value := jsonb_path_query_first(v_json, (p_endpoint ->> 'has_more')::jsonpath);
        if v_value is null or jsonb_typeof(v_value) <> 'boolean' then
            fault := format('the answer does not say whether there is more (%s)', p_endpoint ->> 'has_more');
            return;
        end if;
        is_last := not v_value::boolean;
    else
        is_last := true;
    end if;
    if p_endpoint ? 'updated_at' then
        begin
            select max((t #>> '{}')::timestamptz) into newest
            from jsonb_path_query(v_json, (p_endpoint ->> 'updated_at')::jsonpath) as t
            where jsonb_typeof(t) = 'string'
                and t #>> '{}' ~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*(Z|[+-]\d\d:?\d\d)$';
        exception when others then
            newest := null; -- a broken date holds the watermark back; the contract judges the record
        end;
    end if;
end
$$;

-- Seconds until the next try: what the source asked for, else growing with each attempt, half of it by chance.
create function ops.backoff_seconds(p_api jsonb, p_attempt integer, p_headers jsonb) returns numeric
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    c_longest constant numeric := 60; -- n8n keeps waits up to 65 s in memory
    v_asked text;
    v_wait numeric;
    v_there timestamptz;
begin
    select trim(value) into v_asked from jsonb_each_text(p_headers) where lower(key) = 'retry-after';
    if v_asked ~ '^\d{1,9}(\.\d+)?$' then
        v_wait := v_asked::numeric;
    elsif v_asked is not null then
        begin
            -- by the source's own clock where it tells it
            select trim(value)::timestamptz into v_there
            from jsonb_each_text(p_headers)
            where lower(key) = 'date';
            v_wait := extract(epoch from v_asked::timestamptz - coalesce(v_there, clock_timestamp()));
        exception when others then
            v_wait := null;
        end;
    end if;
    if v_wait is null then
        v_wait := coalesce((p_api ->> 'retry_base_seconds')::numeric, 2) * 2 ^ least(p_attempt - 1, 10);
        v_wait := least(v_wait, c_longest) * (0.5 + random()::numeric / 2);
    end if;
    return round(least(greatest(v_wait, 0), c_longest), 3);
end
$$;

create function ops.next_request(p_source text, p_workflow text, p_execution_id text, p_run_key text)
returns table (
    load_id bigint, request_id bigint, entity text, page integer, method text, url text, body text,
    is_done boolean, status text
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_api jsonb;
    v_endpoint jsonb;
    v_load ops.loads;
    v_other ops.loads;
    v_window ops.requested_windows;
    v_request ops.load_requests;
    v_values jsonb;
    v_query text;
    v_body text;
    v_key text;
begin
    perform pg_advisory_xact_lock(hashtextextended('pull of ' || p_source, 0));
    select s.settings -> 'api' into v_api from ops.source_settings as s where s.source = p_source;
    if v_api is null then
        raise exception 'source % has no API settings', p_source using hint = 'Run: panpan up';
    end if;
    -- Nobody has said where it is: the schedule passes it by without a load and without an error.
    if v_api ->> 'base_url' is null then
        return query select
            null::bigint, null::bigint, null::text, null::integer, null, null, null, true, 'no address';
        return;
    end if;

    select l.* into v_other
    from ops.loads as l
    where l.source = p_source and l.status = 'open' and l.endpoint is not null and l.run_key <> p_run_key;
    if found then
        if v_other.active_at > clock_timestamp() - make_interval(
            secs => coalesce((v_api ->> 'abandon_after_seconds')::double precision, 300)
        ) then
            return query select
                v_other.load_id, null::bigint, v_other.entity, null::integer, null, null, null, true, 'busy';
            return;
        end if;
        perform ops.mark_failed(
            v_other.load_id,
            format('abandoned: nothing was heard of it since %s', ops.iso_time(v_other.active_at))
        );
    end if;

    select w.* into v_window
    from ops.requested_windows as w
    where w.run_key = p_run_key and w.source = p_source;
    for v_endpoint in select e from jsonb_array_elements(v_api -> 'endpoints') as e loop
        -- a backfill asks only where change times can be asked for
        continue when v_window.run_key is not null and not v_endpoint ? 'updated_at';
        select l.* into v_load
        from ops.loads as l
        where l.run_key = p_run_key and l.source = p_source and l.endpoint = v_endpoint ->> 'name';
        if not found then
            insert into ops.loads as l (
                source, entity, endpoint, run_key, workflow, execution_id, window_from, window_to, next_page
            )
            select
                p_source, v_endpoint ->> 'entity', v_endpoint ->> 'name', p_run_key, p_workflow, p_execution_id,
                coalesce(v_window.window_from, (
                    select
                        w.watermark
                        - make_interval(mins => coalesce((v_api ->> 'overlap_minutes')::integer, 10))
                    from ops.watermarks as w
                    where w.source = p_source and w.entity = v_endpoint ->> 'name'
                )),
                case when v_endpoint ? 'updated_at' then coalesce(v_window.window_to, clock_timestamp()) end,
                1
            returning l.* into v_load;
        end if;
        exit when v_load.status = 'open';
    end loop;
    if v_load.load_id is null or v_load.status <> 'open' then
        return query select null::bigint, null::bigint, null, null::integer, null, null, null, true, 'done';
        return;
    end if;

    v_values := jsonb_build_object(
        'page_size', v_endpoint -> 'page_size',
        'page', v_load.next_page,
        'cursor', v_load.next_cursor,
        'window_from', ops.iso_time(v_load.window_from),
        'window_to', ops.iso_time(v_load.window_to)
    );
    -- a parameter without a value (no cursor on the first page, no window on the first pull) is not sent
    select string_agg(ops.percent_encoded(p.key) || '=' || ops.percent_encoded(p.filled), '&' order by p.key)
    into v_query
    from (
        select
            each.key,
            case
                when each.value ~ '^\{\w+\}$' then v_values ->> trim(each.value, '{}') else each.value
            end as filled
        from jsonb_each_text(coalesce(v_endpoint -> 'parameters', '{}')) as each
    ) as p
    where p.filled is not null;
    if v_endpoint ? 'body' then
        v_body := (v_endpoint -> 'body')::text;
        for v_key in select jsonb_object_keys(v_values) loop
            v_body := replace(v_body, format('"{%s}"', v_key), (v_values -> v_key)::text);
        end loop;
        v_body := jsonb_strip_nulls(v_body::jsonb)::text;
    end if;

    -- asked for and never answered: n8n lost our reply or the source's; the same request again
    select r.* into v_request
    from ops.load_requests as r
    where r.load_id = v_load.load_id
    order by r.request_id desc
    limit 1;
    if v_request.request_id is null or v_request.answered_at is not null then
        insert into ops.load_requests as r (load_id, page, attempt, method, url, body, cursor_sent)
        values (
            v_load.load_id, v_load.next_page,
            case when v_request.page = v_load.next_page then v_request.attempt + 1 else 1 end,
            v_endpoint ->> 'method',
            (v_api ->> 'base_url') || (v_endpoint ->> 'path') || coalesce('?' || v_query, ''),
            v_body,
            v_load.next_cursor
        )
        returning r.* into v_request;
    end if;
    update ops.loads as l set active_at = clock_timestamp(), execution_id = p_execution_id
    where l.load_id = v_load.load_id;
    return query select
        v_load.load_id, v_request.request_id, v_load.entity, v_request.page, v_request.method, v_request.url,
        v_request.body, false, 'open';
end
$$;
comment on function ops.next_request is
'Next request of a pull; opens the load of each endpoint in turn. is_done: all are through, or another is busy.';

create function ops.record_answer(
    p_request_id bigint, p_http_status integer, p_headers jsonb, p_content text, p_error text
) returns table (verdict text, wait_seconds numeric, reason text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    v_request ops.load_requests;
    v_load ops.loads;
    v_api jsonb;
    v_endpoint jsonb;
    v_content bytea := decode(p_content, 'base64');
    v_page record;
    v_fault text;
    v_is_final boolean := false;
    v_verdict text;
    v_wait numeric := 0;
    v_document_id bigint;
    v_earlier integer;
    v_cursor text;
    v_hash bytea;
begin
    select r.* into strict v_request from ops.load_requests as r where r.request_id = p_request_id for update;
    if v_request.answered_at is not null then
        return query select v_request.verdict, v_request.wait_seconds, v_request.fault;
        return;
    end if;
    select l.* into strict v_load from ops.loads as l where l.load_id = v_request.load_id for update;
    select s.settings -> 'api' into strict v_api from ops.source_settings as s where s.source = v_load.source;
    select e into v_endpoint
    from jsonb_array_elements(v_api -> 'endpoints') as e
    where e ->> 'name' = v_load.endpoint;

    if v_load.status <> 'open' then
        v_fault := format('load %s is %s already', v_load.load_id, v_load.status);
        v_verdict := 'stale';
    elsif v_endpoint is null then
        v_fault := 'the endpoint was taken out of the settings while the pull ran';
        v_is_final := true;
    elsif p_error is not null or p_http_status is null then
        v_fault := format(
            'no answer from %s: %s', v_api ->> 'base_url', left(coalesce(p_error, 'no status'), 300)
        );
    elsif p_http_status not between 200 and 299 then
        v_fault := format('the source answered %s', p_http_status) || case
            when p_http_status = 429 then ' (too many requests)'
            when p_http_status in (401, 403) then ' (the token is not accepted)'
            else ''
        end || coalesce(': ' || nullif(ops.excerpt(convert_from(v_content, 'LATIN1')), ''), '');
        v_is_final := p_http_status not in (408, 423, 425, 429) and p_http_status < 500;
    else
        v_page := ops.read_page(v_endpoint, v_request.page, v_content);
        v_fault := v_page.fault;
        v_cursor := v_page.next_cursor;
        v_hash := v_page.records_hash;
        -- An empty page may stand anywhere; the same records twice in a row mean that others were left out.
        if v_fault is null and (not v_page.is_last or v_endpoint ->> 'paging' <> 'cursor') and exists (
            select from ops.load_requests as r
            where r.load_id = v_load.load_id and r.page = v_request.page - 1 and r.verdict = 'ok'
                and r.records_hash = v_hash
        ) then
            v_fault := format('it repeats page %s', v_request.page - 1);
            v_is_final := true;
        elsif v_fault is null and not v_page.is_last then
            select min(r.page) into v_earlier
            from ops.load_requests as r
            where r.load_id = v_load.load_id and r.cursor_received = v_cursor and r.verdict = 'ok';
            if v_earlier is not null or v_cursor = v_request.cursor_sent then
                v_fault := format('its cursor repeats that of page %s', coalesce(v_earlier, v_request.page));
                v_is_final := true;
            elsif v_request.page >= coalesce((v_api ->> 'max_pages')::integer, 100000) then
                v_fault := 'there are more pages than max_pages allows';
                v_is_final := true;
            end if;
        end if;
    end if;

    if v_verdict = 'stale' then
        null;
    elsif v_fault is null then
        v_verdict := 'ok';
        v_wait := coalesce((v_api ->> 'pause_seconds')::numeric, 0);
        v_document_id := ops.add_document(
            v_load.load_id,
            format(
                '%s %s (page %s)',
                v_request.method, substr(v_request.url, length(v_api ->> 'base_url') + 1), v_request.page
            ),
            v_endpoint ->> 'media_type', v_load.entity, v_content, null, length(v_content)::bigint,
            sha256(v_content)
        );
        update ops.loads as l
        set next_page = v_request.page + 1, next_cursor = v_cursor,
            newest_record_at = greatest(l.newest_record_at, v_page.newest)
        where l.load_id = v_load.load_id
        returning l.* into v_load;
        if v_page.is_last then
            perform ops.mark_received(v_load.load_id);
            perform ops.move_watermark(v_load);
        end if;
    elsif v_is_final or v_request.attempt >= coalesce((v_api ->> 'max_attempts')::integer, 5) then
        v_verdict := 'failed';
        v_fault := format(
            '%s page %s: %s%s', v_load.endpoint, v_request.page, v_fault,
            case when v_is_final then '' else format(' (attempt %s, the last)', v_request.attempt) end
        );
        perform ops.mark_failed(v_load.load_id, v_fault);
    else
        v_verdict := 'retry';
        v_wait := ops.backoff_seconds(v_api, v_request.attempt, coalesce(p_headers, '{}'));
        update ops.loads as l
        set active_at = clock_timestamp() + make_interval(secs => v_wait::double precision)
        where l.load_id = v_load.load_id;
    end if;

    update ops.load_requests as r
    set answered_at = clock_timestamp(), http_status = p_http_status, verdict = v_verdict,
        wait_seconds = v_wait,
        fault = v_fault, document_id = v_document_id,
        records_hash = case when v_verdict = 'ok' then v_hash end,
        cursor_received = case when v_verdict = 'ok' then v_cursor end
    where r.request_id = p_request_id;
    return query select v_verdict, v_wait, v_fault;
end
$$;
comment on function ops.record_answer is
'Judges one answer: ok (stored as a document), retry (after wait_seconds), failed (the load has ended), stale.';

-- Never past the start of the pull: a record dated in the future must not hide what changes until then.
create function ops.move_watermark(p_load ops.loads) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    insert into ops.watermarks as w (source, entity, watermark)
    select p_load.source, p_load.endpoint, least(p_load.newest_record_at, p_load.started_at)
    where p_load.newest_record_at is not null
        and not exists (
            select from ops.requested_windows as b where b.run_key = p_load.run_key and b.source = p_load.source
        )
    on conflict (source, entity) do update
    set watermark = greatest(w.watermark, excluded.watermark), moved_at = clock_timestamp()
    where w.watermark < excluded.watermark
$$;

grant execute on function ops.next_request, ops.record_answer to loader;
