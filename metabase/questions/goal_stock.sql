-- One row per day of the goal inventory_cost_down, as far as figures are there.
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
where goal = 'inventory_cost_down'
order by day
