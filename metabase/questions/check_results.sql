-- One row per check, what fails first.
-- Reads marts.check_results.
select
    state,
    check_id,
    layer,
    severity,
    meaning,
    offending_count,
    found,
    owner,
    checked_at,
    failing_since
from marts.check_results
order by
    case state when 'failed' then 1 when 'unknown' then 2 else 3 end,
    case severity when 'error' then 1 else 2 end,
    check_id
