-- One row per moment and goal that runs: how far it is behind what is expected by the day before.
-- Reads moments, marts.goal_progress. The value is the gap as a share of what is expected, 0 when on track. The compiler
-- knows metrics and not what is expected of them; the goal's own figure is its (transforms/goals.py), and so is the plan.
select
    moments.moment,
    goal.goal,
    goal.title,
    case
        when goal.verdict = 'unknown' then null
        when goal.verdict in ('behind', 'missed') and goal.expected_value <> 0
            then round(abs(goal.value - goal.expected_value) / abs(goal.expected_value), 4)
        else 0
    end as value,
    goal.plan_id
from moments
inner join marts.goal_progress as goal
    on goal.day = least(moments.day - 1, goal.end_on) and goal.start_on < moments.day
