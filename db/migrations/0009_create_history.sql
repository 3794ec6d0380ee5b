-- Every version of every core row, with two times: when it was so (valid) and when we knew it (known).
-- core.<table> is the current version; core_history.<table>_versions holds the closed ones, append-only; the view
-- core_history.<table> is both. A first load closes nothing, so history costs what changes, not what exists.
-- core_asof.<table> shows the rows as known at the moment in the setting panpan.as_of.

create extension if not exists btree_gist;

create schema core_history;
create schema core_asof;
grant usage on schema core_history, core_asof to transformer;

create function core_history.keep(table_name text, key_columns text[]) returns void
language plpgsql
set search_path = pg_catalog, public, pg_temp
as $$
declare
    -- Range exclusion as a primary key exists from PostgreSQL 18 on; before, an exclusion constraint says the same.
    no_overlap constant text := case
        when current_setting('server_version_num')::integer >= 180000
            then format('primary key (%s, known_during without overlaps)', array_to_string(key_columns, ', '))
        else format(
            'exclude using gist (%s, known_during with &&)',
            (select string_agg(key_column || ' with =', ', ') from unnest(key_columns) as key_column)
        )
    end;
    columns text;
begin
    execute format(
        'alter table core.%1$I
            add column valid_from timestamptz not null default now(),
            add column known_from timestamptz not null default now(),
            add column change_cause text not null default ''new'',
            add column rule_version text not null default ''0'',
            add constraint %2$I check (change_cause in
                (''new'', ''late'', ''correction'', ''refund'', ''delete'', ''return'', ''rule change'', ''merge''))',
        table_name, table_name || '_change_cause_is_known_check'
    );
    execute format('comment on column core.%I.valid_from is %L', table_name,
        'Since when it is so in the world, as the source says; else when we came to know it.');
    execute format('comment on column core.%I.known_from is %L', table_name,
        'When this version became known to us; all rows of one run share the moment.');
    execute format('comment on column core.%I.change_cause is %L', table_name,
        'Why this version exists: new, late, correction, refund, return (of a deleted row), rule change, merge.');
    execute format('comment on column core.%I.rule_version is %L', table_name,
        'Version of contract and rules that made it; see ops.rule_versions.');

    execute format(
        'create table core_history.%1$I (
            like core.%2$I,
            valid_to timestamptz,
            known_to timestamptz not null,
            closed_cause text not null,
            known_during tstzrange generated always as (tstzrange(known_from, known_to)) stored,
            %3$s
        )',
        table_name || '_versions', table_name, no_overlap
    );
    execute format('comment on table core_history.%I is %L', table_name || '_versions',
        format('One row per closed version of a row of core.%s: what was known from known_from until known_to.', table_name));

    select string_agg(quote_ident(column_name), ', ' order by ordinal_position) into columns
    from information_schema.columns
    where table_schema = 'core' and information_schema.columns.table_name = keep.table_name;
    execute format(
        'create view core_history.%1$I as
        select %2$s, null::timestamptz as valid_to, null::timestamptz as known_to, null::text as closed_cause
        from core.%1$I
        union all
        select %2$s, valid_to, known_to, closed_cause
        from core_history.%3$I',
        table_name, columns, table_name || '_versions'
    );
    execute format('comment on view core_history.%I is %L', table_name,
        format('One row per version of a row of core.%s; known_to is null while it is the current one.', table_name));
    execute format(
        'create view core_asof.%1$I as
        select %2$s
        from core_history.%1$I
        where known_from <= current_setting(''panpan.as_of'')::timestamptz
        and (known_to is null or known_to > current_setting(''panpan.as_of'')::timestamptz)',
        table_name, columns
    );
    execute format('comment on view core_asof.%I is %L', table_name,
        format('The rows of core.%s as known at the moment in the setting panpan.as_of.', table_name));
    execute format('grant select, insert on core_history.%I to transformer', table_name || '_versions');
    execute format('grant select on core_history.%1$I, core_asof.%1$I to transformer', table_name);
end
$$;
comment on function core_history.keep is 'Give a core table a history: four columns, a table of closed versions, two views.';
revoke all on function core_history.keep from public;

select core_history.keep('stores', '{store_id}');
select core_history.keep('suppliers', '{supplier_id}');
select core_history.keep('products', '{product_id}');
select core_history.keep('customers', '{customer_id}');
select core_history.keep('customer_sources', '{source,source_customer_id}');
select core_history.keep('employees', '{employee_id}');
select core_history.keep('sales', '{sale_id}');
select core_history.keep('sale_lines', '{sale_id,line_number}');
select core_history.keep('payments', '{sale_id,payment_number}');
select core_history.keep('inventory', '{product_id}');
select core_history.keep('stock_levels', '{product_id,store_id}');
select core_history.keep('stock_movements', '{movement_id}');
select core_history.keep('deliveries', '{delivery_id,line_number}');

-- What happened to a day's receipts and when: read by evolve.
create index sales_versions_business_date_idx on core_history.sales_versions (business_date, known_to);

create table ops.rule_versions (
    rule_version text not null,
    source text not null,
    contract jsonb not null,
    first_used_at timestamptz not null default now(),
    primary key (rule_version, source)
);
comment on table ops.rule_versions is 'One row per version of the rules a source''s rows were made with.';
comment on column ops.rule_versions.rule_version is 'Hash of the contract and of the code and SQL that apply it.';
comment on column ops.rule_versions.source is 'Source the contract belongs to.';
comment on column ops.rule_versions.contract is 'The contract as it was.';
comment on column ops.rule_versions.first_used_at is 'When a run used it first.';

alter table ops.runs add column known_at timestamptz;
comment on column ops.runs.known_at is 'The moment all rows of the run became known; each run''s lies after the one before.';
create index runs_known_at_idx on ops.runs (known_at);

create table marts.published_figures (
    metric text not null,
    business_date date not null,
    store_id text not null,
    source text not null,
    channel text not null,
    currency_code char(3) not null,
    known_at timestamptz not null,
    value numeric(18, 4),
    definition_version integer not null,
    rule_version text not null,
    primary key (metric, business_date, store_id, source, channel, currency_code, known_at)
);
comment on table marts.published_figures is
'One row per metric, cell (business date, store, source, channel, currency) and moment its value changed.';
comment on column marts.published_figures.metric is 'Name of the metric in the catalogue.';
comment on column marts.published_figures.business_date is 'Day the value is of.';
comment on column marts.published_figures.store_id is 'Store the value is of.';
comment on column marts.published_figures.source is 'Source the value comes from.';
comment on column marts.published_figures.channel is 'Channel the value is of.';
comment on column marts.published_figures.currency_code is 'Currency of the value where it is an amount.';
comment on column marts.published_figures.known_at is 'When the value became what it says; it holds until the next row of the cell.';
comment on column marts.published_figures.value is 'The value; null when it became unknown or the cell emptied.';
comment on column marts.published_figures.definition_version is 'Version of the metric''s definition.';
comment on column marts.published_figures.rule_version is 'Version of contract and rules behind it; see ops.rule_versions.';
