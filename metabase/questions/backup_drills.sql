-- One row per backup set, the ten newest.
-- Reads marts.backup_proofs. Made but not yet restored is not good news, so it has a word of its own.
select
    case
        when is_proven then 'proven'
        when created_verdict = 'bad' or drill_verdict = 'bad' then 'failed'
        else 'not proven'
    end as proof_state,
    set_name,
    snapshot_at,
    drilled_at,
    round(drill_seconds, 1) as drill_seconds,
    byte_count,
    reason
from marts.backup_proofs
order by created_at desc, set_name desc
limit 10
