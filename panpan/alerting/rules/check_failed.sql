-- One row per moment and check by which figures would be wrong or missing: 1 when it fails.
-- Reads moments, marts.check_results. A check that could not be made changes nothing.
select
    moments.moment,
    result.check_id as "check",
    result.meaning || coalesce(' ' || result.found, '') as title,
    case result.state when 'failed' then 1 when 'passed' then 0 end as value
from moments
cross join marts.check_results as result
where result.severity = 'error'
