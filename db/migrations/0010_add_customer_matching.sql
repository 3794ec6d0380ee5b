-- One customer per person: what each source tells of its customers, by which rule records are one person, which pairs
-- were refused, and what people decided, so that a match can be explained and taken back.

-- A table with a history gets a new column in all its parts: the current rows, the closed versions, the two views.
create function core_history.add_column(table_name text, column_name text, column_type text, meaning text) returns void
language plpgsql
set search_path = pg_catalog, public, pg_temp
as $$
declare
    columns text;
begin
    execute format('alter table core.%I add column %I %s', table_name, column_name, column_type);
    execute format('comment on column core.%I.%I is %L', table_name, column_name, meaning);
    execute format('alter table core_history.%I add column %I %s', table_name || '_versions', column_name, column_type);

    select string_agg(quote_ident(attname), ', ' order by attnum) into columns
    from pg_attribute
    where attrelid = format('core.%I', table_name)::regclass and attnum > 0 and not attisdropped;
    execute format('drop view core_asof.%1$I; drop view core_history.%1$I', table_name);
    execute format(
        'create view core_history.%1$I as
        select %2$s, null::timestamptz as valid_to, null::timestamptz as known_to, null::text as closed_cause
        from core.%1$I
        union all
        select %2$s, valid_to, known_to, closed_cause
        from core_history.%3$I',
        table_name, columns, table_name || '_versions'
    );
    execute format(
        'create view core_asof.%1$I as
        select %2$s
        from core_history.%1$I
        where known_from <= current_setting(''panpan.as_of'')::timestamptz
        and (known_to is null or known_to > current_setting(''panpan.as_of'')::timestamptz)',
        table_name, columns
    );
    execute format('comment on view core_history.%I is %L', table_name,
        format('One row per version of a row of core.%s; known_to is null while it is the current one.', table_name));
    execute format('comment on view core_asof.%I is %L', table_name,
        format('The rows of core.%s as known at the moment in the setting panpan.as_of.', table_name));
    execute format('grant select on core_history.%1$I, core_asof.%1$I to transformer', table_name);
end
$$;
comment on function core_history.add_column is 'Give a core table with a history another column: current rows, closed versions, views.';
revoke all on function core_history.add_column from public;

select core_history.add_column(
    'customer_sources', 'evidence', 'jsonb not null default ''{}''',
    'What speaks for the match: the record it was matched with, rules that agree, what differs, version of the rules.'
);
select core_history.add_column(
    'sales', 'source_customer_id', 'text',
    'What the source calls the customer, whoever that turns out to be; null where the receipt names none.'
);
-- Until now each customer of a source was a customer of its own.
update core.sales as sale set source_customer_id = crosswalk.source_customer_id
from core.customer_sources as crosswalk
where sale.source = crosswalk.source and sale.customer_id = crosswalk.customer_id;

comment on table core.customers is 'One row per person, whatever the sources call them.';
comment on column core.customers.customer_id is 'Our id of the person: made from the oldest of its records, so it stays when others join.';
comment on column core.customers.phone is 'Phone number; null where not told.';
comment on column core.customers.is_deleted is 'Whether every list that knows the person has archived or deleted the record.';
comment on column core.customers.source is 'Source of the oldest record.';
comment on column core.customers.raw_id is 'First record that names the person.';
comment on column core.customer_sources.customer_id is 'The person.';
comment on column core.customer_sources.matching_rule is 'Rule that says so; "own record": the person''s oldest record.';

create table core.customer_facts (
    catalogue text not null,
    source text not null,
    source_customer_id text not null,
    origin text not null,
    attribute text not null,
    part smallint not null,
    value text not null,
    match_on text,
    match_key text,
    precedence smallint not null,
    told_at timestamptz not null,
    raw_id bigint not null,
    load_id bigint not null,
    primary key (source, source_customer_id, origin, attribute, part),
    constraint customer_facts_origin_is_known_check check (origin in ('list', 'receipt', 'mention'))
);
-- Who else bears this value?
create index customer_facts_match_idx on core.customer_facts (
    catalogue, match_on, match_key
) where match_on is not null;
comment on table core.customer_facts is 'One row per thing a source tells of one of its customers, as it told it last.';
comment on column core.customer_facts.catalogue is 'Sources of one catalogue share their customers; others never match.';
comment on column core.customer_facts.source is 'Source that tells it.';
comment on column core.customer_facts.source_customer_id is 'What the source calls the customer.';
comment on column core.customer_facts.origin is 'list: the source''s list of customers; receipt: beside a sale; mention: the customer was named.';
comment on column core.customer_facts.attribute is 'What it is: full_name, email, phone, postal_code, loyalty_card and the like.';
comment on column core.customer_facts.part is 'Number among several of one kind, from 1.';
comment on column core.customer_facts.value is 'The value, as text.';
comment on column core.customer_facts.match_on is 'Rule it is evidence for; null where it joins nobody.';
comment on column core.customer_facts.match_key is 'What of the value tells persons apart: case, accents, blanks folded; null where nothing does.';
comment on column core.customer_facts.precedence is 'Of several sources the lowest is believed: CRM list, other list, API, receipt.';
comment on column core.customer_facts.told_at is 'When the source said so last, by its own clock; -infinity where it does not tell.';
comment on column core.customer_facts.raw_id is 'Record that says so; of a mention the first one.';
comment on column core.customer_facts.load_id is 'Load of that record.';
select core_history.keep('customer_facts', '{source,source_customer_id,origin,attribute,part}');

create table core.customer_match_candidates (
    source text not null,
    source_customer_id text not null,
    other_source text not null,
    other_source_customer_id text not null,
    matching_rule text not null,
    matching_score numeric(4, 3) not null,
    reason text not null,
    primary key (source, source_customer_id, other_source, other_source_customer_id),
    constraint customer_match_candidates_score_is_a_share_check check (matching_score between 0 and 1)
);
create index customer_match_candidates_other_idx
on core.customer_match_candidates (other_source, other_source_customer_id);
comment on table core.customer_match_candidates is 'One row per two records that agree in something and were not made one person.';
comment on column core.customer_match_candidates.source is 'Source of the one record.';
comment on column core.customer_match_candidates.source_customer_id is 'What the source calls the customer.';
comment on column core.customer_match_candidates.other_source is 'Source of the other record.';
comment on column core.customer_match_candidates.other_source_customer_id is 'What the other source calls the customer.';
comment on column core.customer_match_candidates.matching_rule is 'Surest rule in which both agree.';
comment on column core.customer_match_candidates.matching_score is 'What is left of its score after what differs was taken off.';
comment on column core.customer_match_candidates.reason is 'What kept them apart: the values that differ, or a decision.';
select
    core_history.keep('customer_match_candidates', '{source,source_customer_id,other_source,other_source_customer_id}');

create table core.customer_match_decisions (
    decision_id bigint generated always as identity primary key,
    is_same boolean not null,
    record text not null,
    others text[] not null,
    reason text not null,
    decided_by text not null,
    decided_at timestamptz not null default clock_timestamp(),
    undone_by text,
    undone_at timestamptz,
    constraint customer_match_decisions_names_others_check check (cardinality(others) > 0),
    constraint customer_match_decisions_undone_has_who_and_when_check check ((undone_by is null) = (undone_at is null))
);
comment on table core.customer_match_decisions is 'One row per decision of a person about who is one customer; it wins over every rule until it is undone.';
comment on column core.customer_match_decisions.decision_id is 'Number of the decision.';
comment on column core.customer_match_decisions.is_same is 'True: the record is the same person as the others; false: it is none of them.';
comment on column core.customer_match_decisions.record is 'The record, written source:id.';
comment on column core.customer_match_decisions.others is 'The other records, written source:id.';
comment on column core.customer_match_decisions.reason is 'Why, in the words of who decided.';
comment on column core.customer_match_decisions.decided_by is 'Who decided.';
comment on column core.customer_match_decisions.decided_at is 'When.';
comment on column core.customer_match_decisions.undone_by is 'Who took it back; null while it holds.';
comment on column core.customer_match_decisions.undone_at is 'When it was taken back; null while it holds.';
-- What was decided may be taken back, never forgotten.
revoke delete on core.customer_match_decisions from transformer;
