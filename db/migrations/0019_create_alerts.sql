-- Alerts: the state of each, what happened to it, the outbox of mails, who wants none, silences, the sign of life.
-- A mail is queued in the transaction that changes the state, so a kill loses neither or both.

create table ops.alert_states (
    rule text not null,
    labels jsonb not null,
    title text not null,
    phase text not null,
    cover text,
    state text not null generated always as (coalesce(cover, phase)) stored,
    since timestamptz not null,
    phase_since timestamptz not null,
    announced boolean not null,
    told_at timestamptz,
    is_broken_told boolean not null,
    is_blind boolean not null,
    value numeric,
    level numeric,
    unit text,
    currency_code char(3),
    source text,
    reason text,
    primary key (rule, labels),
    constraint alert_states_phase_is_known_check check (phase in ('ok', 'pending', 'firing', 'recovering')),
    constraint alert_states_cover_is_known_check check (cover in ('silenced', 'stale', 'error')),
    constraint alert_states_what_is_told_was_told_once_check check (not announced or told_at is not null)
);
comment on table ops.alert_states is 'One row per alert rule and what it watches (labels): how that stands. Rows change, ops.alert_events keeps what happened.';
comment on column ops.alert_states.rule is 'Name of the rule, panpan/alerting/rules or alerts/rules of the home.';
comment on column ops.alert_states.labels is 'What is watched, such as product and store; {} for a rule about the whole.';
comment on column ops.alert_states.title is 'The same in words.';
comment on column ops.alert_states.phase is 'ok, pending (a breach not yet long enough), firing, recovering (over, not yet long enough).';
comment on column ops.alert_states.cover is 'Why nothing is told: silenced (by a person), stale (its source is silent), error (the rule fails); null: nothing covers it.';
comment on column ops.alert_states.state is 'The cover, else the phase.';
comment on column ops.alert_states.since is 'Since when the state is what it is.';
comment on column ops.alert_states.phase_since is 'Since when the phase is what it is.';
comment on column ops.alert_states.announced is 'Whether its beginning was told and its end not yet.';
comment on column ops.alert_states.told_at is 'When its beginning, or a reminder, was last told; null once its end is told.';
comment on column ops.alert_states.is_broken_told is 'Whether it was told that the rule fails.';
comment on column ops.alert_states.is_blind is 'Whether nothing could be seen the last time, also under a silence.';
comment on column ops.alert_states.value is 'The value last seen; null when none could be seen.';
comment on column ops.alert_states.level is 'The level it was held against; null where there is none.';
comment on column ops.alert_states.unit is 'Unit of value and level, where the data say it.';
comment on column ops.alert_states.currency_code is 'Currency of value and level, ISO 4217; null for what is no money.';
comment on column ops.alert_states.source is 'Source the value comes from; null where several or none.';
comment on column ops.alert_states.reason is 'In words: what was found, why it is stale or what failed; null where nothing is to be said.';

create table ops.alert_events (
    event_id bigint generated always as identity primary key,
    happened_at timestamptz not null,
    rule text not null,
    labels jsonb not null,
    title text not null,
    from_state text not null,
    to_state text not null,
    value numeric,
    level numeric,
    notice text,
    reason text,
    constraint alert_events_notice_is_known_check check (notice in ('fired', 'reminder', 'recovered', 'broken'))
);
create index alert_events_rule_idx on ops.alert_events (rule, happened_at);
comment on table ops.alert_events is 'One row per change of an alert''s state, and per notice about it. Append-only.';
comment on column ops.alert_events.event_id is 'Our number of the event; grows with time.';
comment on column ops.alert_events.happened_at is 'When the rule was judged.';
comment on column ops.alert_events.rule is 'Name of the rule.';
comment on column ops.alert_events.labels is 'What is watched.';
comment on column ops.alert_events.title is 'The same in words.';
comment on column ops.alert_events.from_state is 'State before.';
comment on column ops.alert_events.to_state is 'State after; the same for a reminder.';
comment on column ops.alert_events.value is 'The value seen.';
comment on column ops.alert_events.level is 'The level it was held against.';
comment on column ops.alert_events.notice is 'What is told of it: fired, reminder, recovered, broken; null: nothing.';
comment on column ops.alert_events.reason is 'In words, where something is to be said.';

create function ops.refuse_change_of_alert_events() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception 'ops.alert_events is append-only: % refused', lower(tg_op);
end
$$;
comment on function ops.refuse_change_of_alert_events is 'Keeps what happened to alerts append-only, for its owner too.';
create trigger alert_events_is_append_only
before update or delete or truncate on ops.alert_events
for each statement execute function ops.refuse_change_of_alert_events();

create table ops.alert_notices (
    notice_id bigint generated always as identity primary key,
    created_at timestamptz not null,
    rule text not null,
    kind text not null,
    items jsonb not null,
    constraint alert_notices_kind_is_known_check check (kind in ('fired', 'reminder', 'recovered', 'broken')),
    constraint alert_notices_says_something_check check (jsonb_array_length(items) > 0)
);
comment on table ops.alert_notices is 'One row per rule, kind and round with something to tell: all alerts concerned in one.';
comment on column ops.alert_notices.notice_id is 'Our number of the notice.';
comment on column ops.alert_notices.created_at is 'When the rule was judged.';
comment on column ops.alert_notices.rule is 'Name of the rule.';
comment on column ops.alert_notices.kind is 'fired (it begins), reminder (it lasts), recovered (it is over), broken (the rule fails).';
comment on column ops.alert_notices.items is 'The alerts: labels, title, value, level, since, as they were then.';

create table ops.mails (
    mail_id bigint generated always as identity primary key,
    notice_id bigint references ops.alert_notices,
    topic text not null,
    recipient text not null,
    language text not null,
    time_zone text not null,
    message_id text not null unique,
    unsubscribe_token text not null unique,
    created_at timestamptz not null,
    status text not null,
    attempts integer not null default 0,
    next_try_at timestamptz not null,
    subject text,
    content bytea,
    settled_at timestamptz,
    reply text,
    constraint mails_status_is_known_check check (
        status in (
            'waiting', 'sending', 'handed', 'sent', 'uncertain', 'bounced', 'refused', 'given_up', 'unsubscribed'
        )
    ),
    constraint mails_sent_was_accepted_check check (status <> 'sent' or reply like '250%'),
    constraint mails_settled_has_a_moment_check check (
        (settled_at is null) = (status in ('waiting', 'sending', 'handed'))
    )
);
create unique index mails_notice_id_recipient_key on ops.mails (notice_id, recipient) where notice_id is not null;
create index mails_open_idx on ops.mails (next_try_at) where settled_at is null;
comment on table ops.mails is 'One row per mail and recipient: the outbox. sent means that the mail server accepted it, nothing less.';
comment on column ops.mails.mail_id is 'Our number of the mail.';
comment on column ops.mails.notice_id is 'Notice it tells; null for mails that are no alert.';
comment on column ops.mails.topic is 'What one can unsubscribe from: the rule''s name, or the report''s.';
comment on column ops.mails.recipient is 'Address it goes to.';
comment on column ops.mails.language is 'Language it is written in.';
comment on column ops.mails.time_zone is 'Time zone of the moments in it.';
comment on column ops.mails.message_id is 'Its Message-ID, the same at every try.';
comment on column ops.mails.unsubscribe_token is 'Random word of the link that ends this topic for this recipient.';
comment on column ops.mails.created_at is 'When it was queued.';
comment on column ops.mails.status is
'waiting, sending (taken by a courier), handed (the server is about to hold all of it), sent (accepted), uncertain (the courier died or lost the line in the moment after: may or may not have arrived, never repeated), bounced (the server knows no such recipient), refused (for good), given_up (no server for days), unsubscribed.';
comment on column ops.mails.attempts is 'How often it was tried.';
comment on column ops.mails.next_try_at is 'Not tried before.';
comment on column ops.mails.subject is 'Its subject; null until it is written.';
comment on column ops.mails.content is 'The mail byte for byte, the same at every try; null until it is written.';
comment on column ops.mails.settled_at is 'When its last status was reached; null while it is on its way.';
comment on column ops.mails.reply is 'What the mail server last said, or what failed.';

create table ops.mail_stops (
    address text not null,
    topic text not null,
    reason text not null,
    since timestamptz not null,
    detail text,
    ended_at timestamptz,
    primary key (address, topic),
    constraint mail_stops_reason_is_known_check check (reason in ('unsubscribed', 'bounced'))
);
comment on table ops.mail_stops is
'One row per address and topic that gets no mail, or got none for a while.';
comment on column ops.mail_stops.address is 'The address, in lower case.';
comment on column ops.mail_stops.topic is 'Rule or report; * for everything.';
comment on column ops.mail_stops.reason is 'unsubscribed (the reader''s wish) or bounced (the server knows no such recipient).';
comment on column ops.mail_stops.since is 'Since when.';
comment on column ops.mail_stops.detail is 'What the mail server said.';
comment on column ops.mail_stops.ended_at is 'When mails were allowed again; null while they are not.';

create table ops.alert_silences (
    silence_id bigint generated always as identity primary key,
    rule text not null,
    labels jsonb not null,
    starts_at timestamptz not null,
    ends_at timestamptz not null,
    reason text not null,
    person text not null,
    ended_at timestamptz,
    ended_by text,
    constraint alert_silences_ends_after_it_starts_check check (ends_at > starts_at),
    constraint alert_silences_is_answered_for_check check (reason <> '' and person <> ''),
    constraint alert_silences_who_ended_it_is_told_check check ((ended_at is null) = (ended_by is null))
);
comment on table ops.alert_silences is 'One row per silence: until when, why, and who wanted it.';
comment on column ops.alert_silences.silence_id is 'Our number of the silence.';
comment on column ops.alert_silences.rule is 'Name of the rule.';
comment on column ops.alert_silences.labels is 'Only alerts with these labels; {} for the whole rule.';
comment on column ops.alert_silences.starts_at is 'Since when.';
comment on column ops.alert_silences.ends_at is 'Until when; every silence has an end.';
comment on column ops.alert_silences.reason is 'Why.';
comment on column ops.alert_silences.person is 'Who wanted it.';
comment on column ops.alert_silences.ended_at is 'When it was ended before its time; null where it was not.';
comment on column ops.alert_silences.ended_by is 'Who ended it before its time.';

revoke update on ops.alert_events, ops.alert_notices from transformer;
-- States of what is no more go; their events stay.
grant delete on ops.alert_states to transformer;

create table marts.alert_heartbeat (
    engine text primary key default 'panpan' constraint alert_heartbeat_is_one_row_check check (engine = 'panpan'),
    last_evaluated_at timestamptz,
    tried_at timestamptz not null,
    rule_count integer not null,
    failed_rule_count integer not null,
    undelivered_count integer not null,
    reason text
);
comment on table marts.alert_heartbeat is 'One row: the alert engine''s sign of life. Metabase''s own alerts keep quiet while it is young.';
comment on column marts.alert_heartbeat.engine is 'Always panpan.';
comment on column marts.alert_heartbeat.last_evaluated_at is
'When all rules were last judged with every notice delivered; it stands still while one can''t be, so that the second path speaks.';
comment on column marts.alert_heartbeat.tried_at is 'When the rules were last judged at all.';
comment on column marts.alert_heartbeat.rule_count is 'Rules there are.';
comment on column marts.alert_heartbeat.failed_rule_count is 'Rules of these that could not be judged.';
comment on column marts.alert_heartbeat.undelivered_count is 'Notices whose mails reached nobody: waiting for long, failed, uncertain, or without recipients.';
comment on column marts.alert_heartbeat.reason is 'Why the sign of life stands still; null while all is well.';

create view marts.alerts as
select
    rule,
    labels,
    title,
    state,
    since,
    value,
    level,
    unit,
    currency_code,
    source,
    reason
from ops.alert_states;
comment on view marts.alerts is 'One row per alert rule and what it watches: how that stands now.';
comment on column marts.alerts.rule is 'Name of the rule.';
comment on column marts.alerts.labels is 'What is watched, such as product and store.';
comment on column marts.alerts.title is 'The same in words.';
comment on column marts.alerts.state is 'ok, pending, firing, recovering, silenced, stale or error.';
comment on column marts.alerts.since is 'Since when.';
comment on column marts.alerts.value is 'The value last seen.';
comment on column marts.alerts.level is 'The level it is held against.';
comment on column marts.alerts.unit is 'Unit of value and level, where the data say it.';
comment on column marts.alerts.currency_code is 'Currency of value and level, ISO 4217.';
comment on column marts.alerts.source is 'Source the value comes from; null where several or none.';
comment on column marts.alerts.reason is 'What is to be said in words.';

-- What rules need and no mart has. Views: asked for a few weeks at a time, each reads these days only, by their index.
create view marts.hourly_store_sales as
select
    sale.business_date,
    sale.store_id,
    store.store_name,
    sale.source,
    store.time_zone,
    date_trunc('hour', sale.sold_at at time zone store.time_zone) as local_hour,
    count(*)::integer as ticket_count,
    max(sale.sold_at) as last_sold_at
from core.sales as sale
inner join core.stores as store on sale.store_id = store.store_id
where sale.event = 'sale'
group by
    sale.business_date, sale.store_id, store.store_name, sale.source, store.time_zone,
    date_trunc('hour', sale.sold_at at time zone store.time_zone);
comment on view marts.hourly_store_sales is 'One row per business date, store, source and hour with a sale. Ask for some business dates, never for all.';
comment on column marts.hourly_store_sales.business_date is 'Day the sales count for.';
comment on column marts.hourly_store_sales.store_id is 'Store.';
comment on column marts.hourly_store_sales.store_name is 'Name of the store.';
comment on column marts.hourly_store_sales.source is 'Source the receipts came from.';
comment on column marts.hourly_store_sales.time_zone is 'IANA time zone of the store''s clock.';
comment on column marts.hourly_store_sales.local_hour is 'The hour by the store''s clock.';
comment on column marts.hourly_store_sales.ticket_count is 'Receipts of sales in the hour.';
comment on column marts.hourly_store_sales.last_sold_at is 'Moment of the last of them.';

create view marts.daily_stock_changes as
select
    move.business_date,
    move.product_id,
    move.store_id,
    sum(move.quantity) as quantity
from core.stock_movements as move
group by move.business_date, move.product_id, move.store_id;
comment on view marts.daily_stock_changes is 'One row per business date, product and store with a stock movement. Ask for some business dates, never for all.';
comment on column marts.daily_stock_changes.business_date is 'Day of the movements.';
comment on column marts.daily_stock_changes.product_id is 'Product.';
comment on column marts.daily_stock_changes.store_id is 'Store.';
comment on column marts.daily_stock_changes.quantity is 'What came less what left, in the product''s unit.';
-- Views are read, by nobody written through.
revoke insert, update, delete on marts.alerts, marts.hourly_store_sales, marts.daily_stock_changes from transformer;
