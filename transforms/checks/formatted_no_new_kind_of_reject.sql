-- One row per source and reason that is new this week and concerns three records or more, where the source has sent for
-- longer. Reads ops.rejects, ops.loads.
select
    reject.source || ': ' || reject.reason as key,
    format('%%s records since %%s', count(*), min(reject.rejected_at)::date) as found
from ops.rejects as reject
where
    reject.resolved_at is null
    and exists (
        select
        from ops.loads as earlier
        where
            earlier.source = reject.source
            and earlier.status = 'loaded'
            and earlier.received_at < %(now)s - interval '7 days'
    )
group by reject.source, reject.reason
having count(*) >= 3 and min(reject.rejected_at) > %(now)s - interval '7 days' and min(reject.rejected_at) <= %(now)s
