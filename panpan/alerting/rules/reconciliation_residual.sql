-- One row per moment and comparison of a metric: what its newest period leaves unexplained, whatever the sign.
-- The compiler can't say it: it answers for one system, and this is what two of them leave unexplained.
-- Reads moments, marts.reconciliation.
with newest as (
    select distinct on (metric, comparison, catalogue, currency_code)
        metric,
        comparison,
        catalogue,
        currency_code,
        first_day,
        last_day
    from marts.reconciliation
    order by metric asc, comparison asc, catalogue asc, currency_code asc, last_day desc, first_day desc
)

select
    moments.moment,
    concat_ws('/', each.metric, each.comparison, each.catalogue, nullif(each.currency_code, '')) as comparison,
    each.metric || ', ' || each.their_sources || ', ' || each.first_day || ' - ' || each.last_day as title,
    abs(each.amount) as value
from moments
cross join newest
inner join marts.reconciliation as each
    on
        newest.metric = each.metric
        and newest.comparison = each.comparison
        and newest.catalogue = each.catalogue
        and newest.currency_code = each.currency_code
        and newest.first_day = each.first_day
        and newest.last_day = each.last_day
where each.class = 'residual'
