-- Loads, and the documents and records they brought, byte for byte and append-only.
-- A load is all or nothing: transforms look at it only after its status left 'open'.

create table ops.source_settings (
    source text primary key,
    system text not null,
    settings jsonb not null,
    updated_at timestamptz not null default now(),
    constraint source_settings_system_is_known_check check (system in ('pos', 'crm', 'inventory'))
);

create table ops.watermarks (
    source text not null,
    entity text not null,
    watermark timestamptz not null,
    moved_at timestamptz not null default now(),
    primary key (source, entity)
);

create table ops.loads (
    load_id bigint generated always as identity primary key,
    source text not null,
    entity text,
    run_key text not null,
    workflow text,
    execution_id text,
    file_name text,
    sha256 bytea,
    window_from timestamptz,
    document_count integer not null default 0,
    byte_count bigint not null default 0,
    record_count bigint,
    row_count bigint,
    reject_count bigint,
    profile jsonb,
    status text not null default 'open',
    reason text,
    started_at timestamptz not null default clock_timestamp(),
    received_at timestamptz,
    finished_at timestamptz,
    constraint loads_status_is_known_check
    check (status in ('open', 'received', 'loaded', 'refused', 'duplicate', 'failed')),
    constraint loads_refused_or_failed_has_reason_check
    check (status not in ('refused', 'failed') or reason is not null)
);
create index loads_source_status_idx on ops.loads (source, status);
create index loads_run_key_idx on ops.loads (run_key);
-- The worker asks for these every few seconds; there are few at any time.
create index loads_received_idx on ops.loads (load_id) where status = 'received';
-- The same bytes from the same source are one load: a file dropped twice is a duplicate.
create unique index loads_source_sha256_key on ops.loads (source, sha256)
where sha256 is not null and status in ('open', 'received', 'loaded', 'refused');

create table ops.inbox_files (
    file_id bigint generated always as identity primary key,
    source text not null,
    path text not null,
    name text not null,
    byte_count bigint not null,
    modified_at timestamptz not null,
    sha256 bytea not null,
    found_at timestamptz not null default now(),
    load_id bigint references ops.loads,
    state text not null default 'waiting',
    constraint inbox_files_state_is_known_check check (state in ('waiting', 'taken', 'gone'))
);
create unique index inbox_files_path_waiting_key on ops.inbox_files (path) where state = 'waiting';

create table ops.load_requests (
    request_id bigint generated always as identity primary key,
    load_id bigint not null references ops.loads,
    page integer not null,
    attempt integer not null,
    method text not null,
    url text not null,
    body text,
    sent_at timestamptz not null default clock_timestamp(),
    answered_at timestamptz,
    http_status integer,
    verdict text,
    unique (load_id, page, attempt)
);

create table ops.workflow_errors (
    error_id bigint generated always as identity primary key,
    workflow text,
    execution_id text,
    node text,
    message text,
    details jsonb,
    happened_at timestamptz not null default now()
);

create table ops.runs (
    run_id bigint generated always as identity primary key,
    step text not null,
    load_ids bigint[] not null default '{}',
    row_count bigint,
    reject_count bigint,
    status text not null default 'running',
    error text,
    started_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz,
    constraint runs_status_is_known_check check (status in ('running', 'done', 'failed'))
);

create table ops.rejects (
    reject_id bigint generated always as identity primary key,
    raw_id bigint not null,
    load_id bigint not null references ops.loads,
    source text not null,
    entity text not null,
    reason text not null,
    column_name text,
    received_value text,
    payload jsonb not null,
    rejected_at timestamptz not null default now(),
    resolved_at timestamptz,
    unique (raw_id, entity)
);
create index rejects_open_idx on ops.rejects (source, reason) where resolved_at is null;

-- raw: one documents table per system, one records table per entity.
create table raw_pos.documents (
    document_id bigint primary key,
    load_id bigint not null references ops.loads,
    entity text,
    name text not null,
    media_type text,
    content bytea,
    stored_path text,
    byte_count bigint not null,
    sha256 bytea not null,
    received_at timestamptz not null default clock_timestamp(),
    constraint documents_content_is_somewhere_check check ((content is null) <> (stored_path is null))
);
create index documents_load_id_idx on raw_pos.documents (load_id);
-- Responses are JSON or CSV of some hundred kilobytes: compressed by TOAST, kept outside the row.
create table raw_crm.documents (like raw_pos.documents including all);
create table raw_inventory.documents (like raw_pos.documents including all);
alter table raw_crm.documents add foreign key (load_id) references ops.loads;
alter table raw_inventory.documents add foreign key (load_id) references ops.loads;
-- One numbering for all documents, so that a raw_id names its document and line in any schema.
create sequence ops.document_ids;

-- raw_id = document_id * 100,000,000 + position: splitting a document again gives the same ids.
create table raw_pos.sale_lines (
    raw_id bigint primary key,
    document_id bigint not null,
    load_id bigint not null,
    position integer not null,
    source_record_id text,
    payload jsonb not null,
    payload_hash bytea not null
);
create table raw_pos.orders (like raw_pos.sale_lines including all);
create table raw_pos.customers (like raw_pos.sale_lines including all);
create table raw_pos.products (like raw_pos.sale_lines including all);
create table raw_pos.stores (like raw_pos.sale_lines including all);
create table raw_pos.employees (like raw_pos.sale_lines including all);
create table raw_pos.stock_days (like raw_pos.sale_lines including all);
create table raw_crm.contacts (like raw_pos.sale_lines including all);
create table raw_inventory.items (like raw_pos.sale_lines including all);
create table raw_inventory.levels (like raw_pos.sale_lines including all);
create table raw_inventory.movements (like raw_pos.sale_lines including all);
create table raw_inventory.deliveries (like raw_pos.sale_lines including all);
