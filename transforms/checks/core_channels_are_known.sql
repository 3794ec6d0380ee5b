-- One row per source and channel first seen in the last seven days, where the source has sold for four weeks.
-- Reads core.sales.
select
    source || ' ' || coalesce(channel, 'none') as key,
    format('%%s receipts since %%s', count(*), min(business_date)) as found
from core.sales as sale
where
    business_date > %(today)s - 60
    and exists (
        select
        from core.sales as earlier
        where earlier.source = sale.source and earlier.business_date between %(today)s - 60 and %(today)s - 28
    )
group by source, channel
having min(business_date) > %(today)s - 8
