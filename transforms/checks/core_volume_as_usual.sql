-- One row per store, source and day of the last seven whose volume is outside the expected range: the middle of the same
-- weekday of the eight weeks before, a factor of 1.7 up and down. Reads core.sales. Judged from four such days on, up to
-- the last day the source has told of; a day without any receipt is another check's.
with days as (
    select
        source,
        store_id,
        business_date,
        case %(measure)s when 'tickets' then count(*) else sum(net_amount) end as volume,
        case %(measure)s when 'tickets' then 'receipts' else min(currency_code) end as unit
    from core.sales
    where event = 'sale' and business_date between %(today)s - 63 and %(today)s - 1
    group by source, store_id, business_date
    having sum(net_amount) > 0
),

expected as (
    select
        days.source,
        days.store_id,
        days.business_date,
        days.volume,
        days.unit,
        count(*) as history,
        percentile_cont(0.5) within group (order by before.volume)::numeric as middle,
        string_agg(round(before.volume)::text, ', ' order by before.business_date) as used
    from days
    inner join days as before
        on
            days.source = before.source
            and days.store_id = before.store_id
            and days.unit = before.unit
            and before.business_date between days.business_date - 56 and days.business_date - 7
            and extract(isodow from days.business_date) = extract(isodow from before.business_date)
    where days.business_date >= %(today)s - 7
    group by days.source, days.store_id, days.business_date, days.volume, days.unit
    having count(*) >= 4
)

select
    source || ' ' || store_id || ' ' || business_date as key,
    format(
        '%%s %%s, expected %%s to %%s as the same weekday had %%s',
        round(volume, 2), unit, round(middle / 1.7), round(middle * 1.7), used
    ) as found
from expected
where middle >= 10 and (volume < middle / 1.7 or volume > middle * 1.7)
