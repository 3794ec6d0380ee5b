-- One row: checks that fail or could not be made, of all checks. No row before the first were made.
-- Reads marts.check_results.
select
    count(*) filter (where state <> 'passed') as failing_count,
    count(*) as check_count,
    max(checked_at) as checked_at
from marts.check_results
having count(*) > 0
