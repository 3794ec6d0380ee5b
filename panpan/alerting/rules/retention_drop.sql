-- One row per moment and source with known customers: who came back in the last whole month, of those of the month before.
-- Reads moments, marts.customer_activity, marts.data_freshness. The level is four fifths of the mean of the six months before it, null with
-- fewer than three.
with months as (
    select
        moment,
        (date_trunc('month', day) - number * interval '1 month')::date as month,
        number
    from moments
    cross join generate_series(1, 7) as number
),

shares as (
    select
        months.moment,
        months.number,
        before.source,
        count(distinct after.customer_id)::numeric / count(distinct before.customer_id) as share
    from months
    inner join marts.customer_activity as before
        on before.month = (months.month - interval '1 month')::date
    left join marts.customer_activity as after
        on
            before.customer_id = after.customer_id
            and before.source = after.source
            and after.month = months.month
    group by months.moment, months.number, before.source
)

select
    shares.moment,
    shares.source as till,
    coalesce(fresh.title, shares.source) as title,
    round(max(shares.share) filter (where shares.number = 1), 4) as value,
    case
        when count(*) filter (where shares.number > 1) >= 3
            then round(0.8 * avg(shares.share) filter (where shares.number > 1), 4)
    end as level,
    shares.source
from shares
left join marts.data_freshness as fresh on shares.source = fresh.source
group by shares.moment, shares.source, fresh.title
having bool_or(shares.number = 1)
