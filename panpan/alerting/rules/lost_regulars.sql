-- One row per moment and source with regulars: the share of them that stayed away for thirty days.
-- The compiler can't say it: the catalogue's churn is of all customers and of whole months, this of regulars alone and of
-- the last thirty days, so that it is told while they can still be won back.
-- Reads moments, marts.daily_customers, marts.data_freshness. A regular bought on four days or more of the ninety before those thirty.
with visits as (
    select
        moments.moment,
        visit.source,
        visit.customer_id,
        count(distinct visit.business_date) filter (where visit.business_date < moments.day - 30) as earlier_count,
        bool_or(visit.business_date >= moments.day - 30) as came_lately
    from moments
    inner join marts.daily_customers as visit
        on visit.business_date between moments.day - 120 and moments.day - 1
    group by moments.moment, visit.source, visit.customer_id
)

select
    visits.moment,
    visits.source as till,
    coalesce(fresh.title, visits.source) as title,
    round((count(*) filter (where not visits.came_lately))::numeric / count(*), 4) as value,
    visits.source
from visits
left join marts.data_freshness as fresh on visits.source = fresh.source
where visits.earlier_count >= 4
group by visits.moment, visits.source, fresh.title
