-- One row per day of the goal revenue_up, as far as figures are there.
-- Reads marts.goal_progress.
select
    day,
    value,
    expected_value,
    target_value,
    currency_code,
    verdict,
    plan_id
from marts.goal_progress
where goal = 'revenue_up'
order by day
