-- One row per goal, on its newest day with figures.
-- Reads marts.goal_progress. Goals have different units, so their figures are written out here.
with newest as (
    select
        goal,
        max(day) as newest_day
    from marts.goal_progress
    group by goal
),

figures as (
    select
        progress.goal,
        progress.day,
        progress.title,
        progress.owner,
        progress.verdict,
        progress.end_on,
        progress.plan_id,
        case when progress.unit = 'share' then 100 else 1 end as factor,
        case when progress.unit = 'share' then '990.0' else '999,999,990.00' end as number_form,
        case
            when progress.unit = 'share' then ' %'
            when progress.currency_code is not null then ' ' || progress.currency_code
            else ' ' || progress.unit
        end as unit_mark,
        progress.base_value,
        progress.target_value,
        progress.value,
        progress.expected_value
    from marts.goal_progress as progress
    inner join newest on progress.goal = newest.goal and progress.day = newest.newest_day
)

select
    verdict,
    title,
    trim(to_char(base_value * factor, number_form)) || unit_mark as base_words,
    trim(to_char(value * factor, number_form)) || unit_mark as value_words,
    trim(to_char(expected_value * factor, number_form)) || unit_mark as expected_words,
    trim(to_char(target_value * factor, number_form)) || unit_mark as target_words,
    day,
    end_on,
    owner,
    goal,
    base_value,
    value,
    expected_value,
    target_value,
    plan_id
from figures
order by end_on, goal
