-- One row per workflow that reported an error in the last day. Reads ops.workflow_errors.
select
    coalesce(workflow, 'unknown workflow') as key,
    format('%%s errors, the last one in %%s', count(*), coalesce(max(node), 'an unknown node')) as found
from ops.workflow_errors
where happened_at between %(now)s - interval '1 day' and %(now)s
group by workflow
