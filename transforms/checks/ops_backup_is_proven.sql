-- One row when the newest proven backup is older than 26 hours, or there is none after a day of data.
-- Reads ops.backup_ledger, ops.loads.
with verdicts as (
    select distinct on (set_name) set_name, verdict
    from ops.backup_ledger
    where event = 'drilled'
    order by set_name asc, entry_id desc
),

newest as (
    select max(entry.snapshot_at) as snapshot_at
    from ops.backup_ledger as entry
    inner join verdicts on entry.set_name = verdicts.set_name and verdicts.verdict = 'good'
    where entry.event = 'created'
)

select
    'backups' as key,
    coalesce(
        format('the newest proven backup is of %%s', to_char(snapshot_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI')),
        'no backup was ever proven'
    ) as found
from newest
where
    coalesce(snapshot_at, '-infinity') < %(now)s - interval '26 hours'
    and exists (select from ops.loads as load where load.started_at < %(now)s - interval '26 hours')
