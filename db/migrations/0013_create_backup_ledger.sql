-- What was backed up, proven, copied and restored, and when; alarms are judged from it, not from the scheduler.
-- Append-only for everybody: a verdict is never changed, a new one is added.

create table ops.backup_ledger (
    entry_id bigint generated always as identity primary key,
    recorded_at timestamptz not null default clock_timestamp(),
    event text not null,
    set_name text not null,
    verdict text not null,
    snapshot_at timestamptz,
    seconds numeric(12, 3) not null,
    byte_count bigint,
    manifest_sha256 text,
    checks jsonb not null default '{}',
    reason text,
    constraint backup_ledger_event_is_known_check
    check (event in ('created', 'drilled', 'copied', 'checked_copy', 'restored', 'removed')),
    constraint backup_ledger_verdict_is_known_check check (verdict in ('good', 'bad')),
    constraint backup_ledger_bad_has_a_reason_check check (verdict = 'good' or reason is not null)
);
comment on table ops.backup_ledger is 'One row per act on a backup set: created, drilled, copied, restored, removed. Append-only.';
comment on column ops.backup_ledger.entry_id is 'Our number of the entry; grows with time.';
comment on column ops.backup_ledger.recorded_at is 'When the act was over.';
comment on column ops.backup_ledger.event is
'What was done: created, drilled (restored into scratch and compared), copied, checked_copy, restored, removed.';
comment on column ops.backup_ledger.set_name is 'Name of the backup set, which is its folder''s name.';
comment on column ops.backup_ledger.verdict is 'good or bad.';
comment on column ops.backup_ledger.snapshot_at is 'Moment of the snapshot the set holds.';
comment on column ops.backup_ledger.seconds is 'How long the act took.';
comment on column ops.backup_ledger.byte_count is 'Size of the set, bytes.';
comment on column ops.backup_ledger.manifest_sha256 is 'Checksum of the set''s encrypted manifest: an older one put in its place is noticed.';
comment on column ops.backup_ledger.checks is 'Each check of the act: whether it passed and what was found.';
comment on column ops.backup_ledger.reason is 'Why the verdict is bad.';

create index backup_ledger_set_name_idx on ops.backup_ledger (set_name, event);

revoke all on ops.backup_ledger from transformer;
grant select, insert on ops.backup_ledger to transformer;

create function ops.refuse_change_of_ledger() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception 'ops.backup_ledger is append-only: % refused', lower(tg_op);
end
$$;
comment on function ops.refuse_change_of_ledger is 'Keeps the backup ledger append-only, for its owner too.';

create trigger backup_ledger_is_append_only
before update or delete or truncate on ops.backup_ledger
for each statement execute function ops.refuse_change_of_ledger();
