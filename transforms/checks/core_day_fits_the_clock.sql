-- One row per receipt whose day is not that of its moment. Reads core.sales, core.stores.
select
    sale.source || ' receipt ' || sale.receipt_number as key,
    format('counts for %%s, sold at %%s local time', sale.business_date, sale.sold_at at time zone store.time_zone)
        as found
from core.sales as sale
inner join core.stores as store on sale.store_id = store.store_id
where
    sale.business_date >= %(since)s
    and sale.business_date <> (sale.sold_at at time zone store.time_zone - store.closing_time::interval)::date
