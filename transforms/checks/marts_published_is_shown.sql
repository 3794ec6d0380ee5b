-- One row per cell of a day whose published figure is not the one shown. Reads marts.published_figures,
-- marts.daily_store_sales, checked_days.
with shown as (
    select
        mart.business_date,
        mart.store_id,
        mart.source,
        mart.channel,
        mart.currency_code,
        (to_jsonb(mart) ->> %(column)s)::numeric as value
    from marts.daily_store_sales as mart
    inner join checked_days as day
        on mart.business_date = day.business_date and mart.store_id = day.store_id and mart.source = day.source
),

published as (
    select distinct on (said.business_date, said.store_id, said.source, said.channel, said.currency_code)
        said.business_date,
        said.store_id,
        said.source,
        said.channel,
        said.currency_code,
        said.value
    from marts.published_figures as said
    inner join checked_days as day
        on said.business_date = day.business_date and said.store_id = day.store_id and said.source = day.source
    where said.metric = %(metric)s
    order by
        said.business_date asc,
        said.store_id asc,
        said.source asc,
        said.channel asc,
        said.currency_code asc,
        said.known_at desc
)

select
    coalesce(shown.source, published.source) || ' ' || coalesce(shown.store_id, published.store_id) || ' '
    || coalesce(shown.business_date, published.business_date) as key,
    format(
        'shown %%s, published %%s',
        coalesce(trim_scale(shown.value)::text, 'nothing'),
        coalesce(trim_scale(published.value)::text, 'nothing')
    ) as found
from shown
full join published
    on
        shown.business_date = published.business_date
        and shown.store_id = published.store_id
        and shown.source = published.source
        and shown.channel = published.channel
        and shown.currency_code = published.currency_code
where shown.value is distinct from published.value
