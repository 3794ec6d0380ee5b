-- Dashboards say when the last backup was proven: the ledger's acts per set, readable by role bi like every mart.

create view marts.backup_proofs as
select
    created.set_name,
    created.snapshot_at,
    created.recorded_at as created_at,
    created.verdict as created_verdict,
    created.seconds as create_seconds,
    created.byte_count,
    drill.recorded_at as drilled_at,
    drill.verdict as drill_verdict,
    drill.seconds as drill_seconds,
    coalesce(drill.verdict = 'good', false) as is_proven,
    removal.recorded_at as removed_at,
    coalesce(drill.reason, created.reason) as reason
from ops.backup_ledger as created
left join lateral (
    select act.recorded_at, act.verdict, act.seconds, act.reason
    from ops.backup_ledger as act
    where act.set_name = created.set_name and act.event = 'drilled'
    order by act.entry_id desc
    limit 1
) as drill on true
left join lateral (
    select act.recorded_at
    from ops.backup_ledger as act
    where act.set_name = created.set_name and act.event = 'removed'
    order by act.entry_id desc
    limit 1
) as removal on true
where created.event = 'created';

comment on view marts.backup_proofs is
'One row per backup set that was made or tried: its snapshot, its last drill, whether it is proven.';
comment on column marts.backup_proofs.set_name is 'Name of the set, which is its folder''s name.';
comment on column marts.backup_proofs.snapshot_at is 'Moment of the data the set holds.';
comment on column marts.backup_proofs.created_at is 'When it was made.';
comment on column marts.backup_proofs.created_verdict is 'good or bad.';
comment on column marts.backup_proofs.create_seconds is 'How long making it took.';
comment on column marts.backup_proofs.byte_count is 'Size of the set, bytes.';
comment on column marts.backup_proofs.drilled_at is 'When it was last restored into scratch and compared.';
comment on column marts.backup_proofs.drill_verdict is 'good or bad; empty while it was never drilled.';
comment on column marts.backup_proofs.drill_seconds is 'How long that restore took: what a real one would take.';
comment on column marts.backup_proofs.is_proven is 'Whether its last drill gave the same figures.';
comment on column marts.backup_proofs.removed_at is 'When it was removed from disk.';
comment on column marts.backup_proofs.reason is 'Why it is bad.';
