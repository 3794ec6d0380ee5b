-- One row: how many checks of the data failed, warn, could not be made, and were made at all.
-- Reads marts.check_results.
select
    count(*) filter (where state = 'failed' and severity = 'error') as failed_count,
    count(*) filter (where state = 'failed' and severity = 'warn') as warned_count,
    count(*) filter (where state = 'unknown') as unknown_count,
    count(*) as check_count
from marts.check_results
