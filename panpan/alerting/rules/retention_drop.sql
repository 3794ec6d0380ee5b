-- One row per moment: how many customers came back in the last whole month.
-- Reads moments, figures (the metric retention rate by month), marts.customer_activity for the sources it stands on. The
-- level is four fifths of the middle one of the six months before, as rates of months are never averaged; null with
-- fewer than three.
select
    moments.moment,
    to_char(figures.month, 'YYYY-MM') as title,
    figures.value,
    usual.level,
    told.sources,
    to_jsonb(figures) as cell
from moments
inner join figures on figures.month = (date_trunc('month', moments.day) - interval '1 month')::date
cross join
    lateral (
        select
            case
                when count(earlier.value) >= 3
                    then round(0.8 * percentile_disc(0.5) within group (order by earlier.value), 4)
            end as level
        from figures as earlier
        where earlier.month < figures.month and earlier.month >= figures.month - interval '6 months'
    ) as usual
cross join
    lateral (
        select array_agg(distinct activity.source) as sources
        from marts.customer_activity as activity
        where activity.month between (figures.month - interval '1 month')::date and figures.month
    ) as told
