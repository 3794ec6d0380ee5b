-- One row per month and funnel that is not whole. Reads marts.sales_funnel.
with stages as (
    select funnel, count(distinct stage_number) as stages
    from marts.sales_funnel
    group by funnel
)

select
    mart.funnel || ' ' || to_char(mart.month, 'YYYY-MM') as key,
    format(
        '%%s of %%s stages, %%s of %%s accounted for',
        count(*),
        stages.stages,
        sum(mart.last_count),
        max(mart.entered_count)
    ) as found
from marts.sales_funnel as mart
inner join stages on mart.funnel = stages.funnel
group by mart.funnel, mart.month, stages.stages
having count(*) <> stages.stages or sum(mart.last_count) <> max(mart.entered_count)
