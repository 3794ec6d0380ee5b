-- One row per moment, store, source and currency that sold on the day before: against the same weekday.
-- Reads moments, figures (the metric revenue by day), marts.daily_store_sales for the store's name. The level is one and
-- a half times the mean of the eight same weekdays before, null with fewer than four of them.
select
    moments.moment,
    figures.store,
    figures.source as till,
    figures.currency_code as currency,
    named.store_name as title,
    figures.value,
    usual.level,
    figures.currency_code,
    figures.source,
    to_jsonb(figures) as cell
from moments
inner join figures on figures.day = moments.day - 1
cross join
    lateral (
        select
            case when count(earlier.value) >= 4 then round(1.5 * avg(earlier.value), 2) end as level
        from figures as earlier
        where
            earlier.store = figures.store
            and earlier.source = figures.source
            and earlier.currency_code = figures.currency_code
            and earlier.day between figures.day - 56 and figures.day - 7
            and (figures.day - earlier.day) % 7 = 0
    ) as usual
cross join
    lateral (
        select max(sales.store_name) as store_name
        from marts.daily_store_sales as sales
        where sales.store_id = figures.store and sales.business_date = figures.day
    ) as named
