-- One row when the last backup act was bad. Reads ops.backup_ledger.
select
    'set ' || set_name as key,
    format('%%s: %%s', event, reason) as found
from (
    select set_name, event, verdict, reason
    from ops.backup_ledger
    where event in ('created', 'drilled')
    order by entry_id desc
    limit 1
) as last_act
where verdict = 'bad'
