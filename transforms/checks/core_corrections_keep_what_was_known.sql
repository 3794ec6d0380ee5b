-- One row per corrected receipt without the version it replaced. Reads core.sales, core_history.sales_versions.
select
    sale.source || ' receipt ' || sale.receipt_number as key,
    format('corrected at %%s, nothing older is kept', sale.known_from) as found
from core.sales as sale
where
    sale.change_cause in ('correction', 'rule change')
    and sale.business_date >= %(since)s
    and not exists (
        select
        from core_history.sales_versions as closed
        where closed.sale_id = sale.sale_id and closed.known_to = sale.known_from
    )
