-- One row per receipt more than ten years older than the middle one of its load. Reads core.sales.
with middle as (
    select load_id, percentile_disc(0.5) within group (order by business_date) as business_date
    from core.sales
    group by load_id
)

select
    sale.source || ' receipt ' || sale.receipt_number as key,
    format('dated %%s, the others of its load around %%s', sale.business_date, middle.business_date) as found
from core.sales as sale
inner join middle on sale.load_id = middle.load_id
where sale.business_date < middle.business_date - 3650
