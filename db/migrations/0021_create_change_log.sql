-- Who changed which definition, why, from what to what: a chain of hashes, so that no entry can be altered, moved or
-- taken out unnoticed. The measures of how far one truth is kept, one row a day, and how long answers took.

create table ops.change_log (
    change_id bigint primary key,
    changed_at timestamptz not null,
    changed_by text not null,
    reason text not null,
    kind text not null,
    subject text not null,
    before text,
    after text,
    previous_hash text not null,
    entry_hash text not null unique
);
comment on table ops.change_log is 'One row per change of a definition, approval or review, chained by hashes. Append-only.';
comment on column ops.change_log.change_id is 'Number of the entry, without gaps from 1.';
comment on column ops.change_log.changed_at is 'When it was noted.';
comment on column ops.change_log.changed_by is 'Who did it: a person, or the account the program noticed it under.';
comment on column ops.change_log.reason is 'Why, in the words of who did it.';
comment on column ops.change_log.kind is 'What changed: metric, contract, rule, check, alert, role, ..., or what was done: proposal, approval, review.';
comment on column ops.change_log.subject is 'What it is called: a file, or a metric.';
comment on column ops.change_log.before is 'What it said before; empty when it is new.';
comment on column ops.change_log.after is 'What it says since; empty when it is gone.';
comment on column ops.change_log.previous_hash is 'Hash of the entry before; of the first one 64 zeros.';
comment on column ops.change_log.entry_hash is 'SHA-256 over all other columns, each with its length.';

create index change_log_kind_subject_idx on ops.change_log (kind, subject, change_id desc);

revoke all on ops.change_log from transformer;
grant select, insert on ops.change_log to transformer;

create function ops.refuse_change_of_log() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception 'ops.change_log is append-only: % refused', lower(tg_op);
end
$$;
comment on function ops.refuse_change_of_log is 'Keeps the change log append-only, for its owner too.';

create trigger change_log_is_append_only
before update or delete or truncate on ops.change_log
for each statement execute function ops.refuse_change_of_log();

create table ops.truth_scores (
    scored_on date primary key,
    measures jsonb not null,
    scored_at timestamptz not null default clock_timestamp()
);
comment on table ops.truth_scores is 'One row per day: how far there is one truth, measure by measure.';
comment on column ops.truth_scores.scored_on is 'The day.';
comment on column ops.truth_scores.measures is 'Each measure with its share or count and what it was made of.';
comment on column ops.truth_scores.scored_at is 'When it was last worked out for the day.';

create table ops.answer_times (
    answer_id bigint generated always as identity primary key,
    answered_at timestamptz not null default clock_timestamp(),
    kind text not null,
    is_answered boolean not null,
    seconds numeric(12, 3) not null,
    constraint answer_times_kind_is_known_check check (kind in ('ask', 'trace', 'value'))
);
comment on table ops.answer_times is 'One row per question asked of the program: how long the answer took, not what was asked.';
comment on column ops.answer_times.answer_id is 'Our number of the row.';
comment on column ops.answer_times.answered_at is 'When it was answered or refused.';
comment on column ops.answer_times.kind is 'What was asked: ask, trace or value.';
comment on column ops.answer_times.is_answered is 'Whether there was a figure.';
comment on column ops.answer_times.seconds is 'From the question to the answer.';
create index answer_times_answered_at_idx on ops.answer_times (answered_at);
