-- One row: the longest time of the last 30 days that a loss would have cost; no row while nothing was proven.
-- Reads marts.backup_proofs. Asks what time it is: the time since the newest proven snapshot counts too.
with proven as (
    select snapshot_at
    from marts.backup_proofs
    where is_proven and snapshot_at <= now()
),

moments as (
    select
        greatest(snapshot_at, now() - interval '30 days') as moment,
        snapshot_at
    from proven
    union all
    select
        now() as moment,
        null as snapshot_at
),

gaps as (
    select
        snapshot_at,
        moment - lag(moment) over (order by moment) as gap
    from moments
)

select
    round(extract(epoch from (max(gap))) / 3600, 1) as lost_hours,
    26 as promised_hours,
    max(snapshot_at) as newest_proven_at
from gaps
having max(gap) is not null
