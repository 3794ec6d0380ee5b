-- One row per day of the goal retention_up, as far as figures are there.
-- Reads marts.goal_progress.
select
    day,
    value,
    expected_value,
    target_value,
    verdict,
    plan_id
from marts.goal_progress
where goal = 'retention_up'
order by day
