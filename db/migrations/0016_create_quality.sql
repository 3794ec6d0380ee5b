-- What checks found, what went wrong because of what (one incident per cause), and loads a check held back.

create table ops.check_results (
    result_id bigint generated always as identity primary key,
    check_id text not null,
    state text not null,
    offending_count bigint,
    examples jsonb not null default '[]',
    reason text,
    seconds numeric(12, 3) not null,
    checked_at timestamptz not null,
    constraint check_results_state_is_known_check check (state in ('passed', 'failed', 'unknown'))
);
create index check_results_checked_at_idx on ops.check_results (checked_at);
comment on table ops.check_results is 'One row per check and time it was made. Kept for 90 days.';
comment on column ops.check_results.result_id is 'Our number of the result.';
comment on column ops.check_results.check_id is 'The check; see transforms/checks and docs/quality.md.';
comment on column ops.check_results.state is 'passed, failed, or unknown (it could not be made; see reason).';
comment on column ops.check_results.offending_count is 'How many rows offend; null where unknown.';
comment on column ops.check_results.examples is 'Some of them: key and what was found.';
comment on column ops.check_results.reason is 'Why the check could not be made; null otherwise.';
comment on column ops.check_results.seconds is 'How long the check took.';
comment on column ops.check_results.checked_at is 'When it was made; all checks of one run share the moment.';
-- Results older than the time kept are pruned.
grant delete on ops.check_results to transformer;

create table ops.incidents (
    incident_id bigint generated always as identity primary key,
    cause text not null,
    severity text not null,
    owner text not null,
    meaning text not null,
    found text not null,
    opened_at timestamptz not null,
    last_seen_at timestamptz not null,
    acknowledged_at timestamptz,
    acknowledged_by text,
    note text,
    closed_at timestamptz,
    constraint incidents_severity_is_known_check check (severity in ('warn', 'error')),
    constraint incidents_acknowledged_by_somebody_check check ((acknowledged_at is null) = (acknowledged_by is null)),
    constraint incidents_close_after_they_open_check check (closed_at >= opened_at)
);
-- One open incident per cause.
create unique index incidents_open_cause_key on ops.incidents (cause) where closed_at is null;
create index incidents_opened_at_idx on ops.incidents (opened_at);
comment on table ops.incidents is
'One row per cause and time it was there: opened by the first bad result, closed by the next good one.';
comment on column ops.incidents.incident_id is 'Our number of the incident.';
comment on column ops.incidents.cause is 'The check that failed.';
comment on column ops.incidents.severity is 'warn or error, as the check says.';
comment on column ops.incidents.owner is 'Who answers for it.';
comment on column ops.incidents.meaning is 'What it means, in plain words.';
comment on column ops.incidents.found is 'What was found last, with an example.';
comment on column ops.incidents.opened_at is 'When it was found first.';
comment on column ops.incidents.last_seen_at is 'When it was found last.';
comment on column ops.incidents.acknowledged_at is 'When somebody took it on; null until then.';
comment on column ops.incidents.acknowledged_by is 'Who took it on.';
comment on column ops.incidents.note is 'What they said.';
comment on column ops.incidents.closed_at is 'When a check found it gone; null while it is open.';

alter table ops.loads add column held_by text, add column released_at timestamptz, add column released_by text;
comment on column ops.loads.held_by is 'The check that kept the load out of the figures; null where none did. Its status is refused then.';
comment on column ops.loads.released_at is 'When somebody let it in despite its check; null where nobody did.';
comment on column ops.loads.status is
'open (arriving), received (whole, waits for the worker), loaded, refused (can''t be read, or held_by a check), duplicate, failed (did not arrive).';
comment on column ops.loads.released_by is 'Who let it in.';

alter table ops.runs drop constraint runs_status_is_known_check;
alter table ops.runs add constraint runs_status_is_known_check
check (status in ('running', 'done', 'failed', 'blocked'));
comment on column ops.runs.status is
'running, done, failed, or blocked: a check kept what it made out of the figures; error says which.';

create table marts.check_results (
    check_id text primary key,
    layer text not null,
    severity text not null,
    owner text not null,
    meaning text not null,
    state text not null,
    offending_count bigint,
    found text,
    checked_at timestamptz not null,
    failing_since timestamptz
);
comment on table marts.check_results is 'One row per check: what it found last.';
comment on column marts.check_results.check_id is 'The check; see docs/quality.md.';
comment on column marts.check_results.layer is 'What it looks at: raw, formatted, core, marts, ops.';
comment on column marts.check_results.severity is 'warn: the figures hold, look at it. error: figures are wrong or missing.';
comment on column marts.check_results.owner is 'Who answers for it.';
comment on column marts.check_results.meaning is 'What it means when it fails, in plain words.';
comment on column marts.check_results.state is 'passed, failed, or unknown (it could not be made).';
comment on column marts.check_results.offending_count is 'How many rows offend; null where unknown.';
comment on column marts.check_results.found is 'What was found, with an example; null where nothing was.';
comment on column marts.check_results.checked_at is 'When it was made last.';
comment on column marts.check_results.failing_since is 'Since when it fails; null while it does not.';
