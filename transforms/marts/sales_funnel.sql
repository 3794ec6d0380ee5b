-- One row per month of entry, funnel and stage, for the affected months. Reads core.funnel_events,
-- affected_funnel_months. Who reached a stage reached the one it follows, though no source may have said so: a contact
-- first seen as a customer was a lead once. An order ends completed, completed and refunded, or cancelled.
with recursive stages (funnel, stage_number, stage, follows) as (
    values
    ('lifecycle', 1, 'subscriber', null),
    ('lifecycle', 2, 'lead', 1),
    ('lifecycle', 3, 'marketing qualified', 2),
    ('lifecycle', 4, 'sales qualified', 3),
    ('lifecycle', 5, 'opportunity', 4),
    ('lifecycle', 6, 'customer', 5),
    ('lifecycle', 7, 'evangelist', 6),
    ('purchases', 1, 'first purchase', null),
    ('purchases', 2, 'repeat purchase', 1),
    ('orders', 1, 'placed', null),
    ('orders', 2, 'completed', 1),
    ('orders', 3, 'refunded', 2),
    ('orders', 4, 'cancelled', 1)
),

passed (funnel, last_stage_number, stage_number) as (
    select funnel, stage_number as last_stage_number, stage_number
    from stages
    union all
    select passed.funnel, passed.last_stage_number, stages.follows
    from passed
    inner join stages on passed.funnel = stages.funnel and passed.stage_number = stages.stage_number
    where stages.follows is not null
),

ends as (
    select
        date_trunc('month', event.entered_on)::date as month,
        event.funnel,
        event.subject_id,
        max(stages.stage_number) as last_stage_number
    from (select distinct month from affected_funnel_months) as affected
    inner join core.funnel_events as event
        on event.entered_on >= affected.month and event.entered_on < affected.month + interval '1 month'
    inner join stages on event.funnel = stages.funnel and event.stage = stages.stage
    group by date_trunc('month', event.entered_on), event.funnel, event.subject_id
),

ended as (
    select month, funnel, last_stage_number, count(*)::integer as last_count
    from ends
    group by month, funnel, last_stage_number
),

entered as (
    select month, funnel, sum(last_count)::integer as entered_count
    from ended
    group by month, funnel
),

counted as (
    select
        entered.month,
        entered.funnel,
        stages.stage_number,
        stages.stage,
        stages.follows,
        entered.entered_count,
        coalesce(sum(ended.last_count), 0)::integer as reached_count,
        coalesce(sum(ended.last_count) filter (where ended.last_stage_number = stages.stage_number), 0)::integer
            as last_count
    from entered
    inner join stages on entered.funnel = stages.funnel
    inner join passed on stages.funnel = passed.funnel and stages.stage_number = passed.stage_number
    left join ended
        on
            entered.month = ended.month
            and entered.funnel = ended.funnel
            and passed.last_stage_number = ended.last_stage_number
    group by
        entered.month, entered.funnel, stages.stage_number, stages.stage, stages.follows, entered.entered_count
)

select
    counted.month,
    counted.funnel,
    counted.stage_number,
    counted.stage,
    counted.entered_count,
    counted.reached_count,
    counted.last_count,
    round(
        counted.reached_count::numeric
        / nullif(case when counted.follows is null then counted.entered_count else before.reached_count end, 0),
        4
    ) as conversion_share
from counted
left join counted as before
    on
        counted.month = before.month
        and counted.funnel = before.funnel
        and counted.follows = before.stage_number
