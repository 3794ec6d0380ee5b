-- One row: the slowest proven restore of the last 30 days. No row while nothing was restored.
-- Reads marts.backup_proofs.
select
    round(max(drill_seconds) / 60, 1) as restore_minutes,
    count(*) as drill_count,
    max(drilled_at) as drilled_at
from marts.backup_proofs
where is_proven and drilled_at > now() - interval '30 days'
having count(*) > 0
