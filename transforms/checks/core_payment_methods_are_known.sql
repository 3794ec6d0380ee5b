-- One row per source, method and brand first seen in the last seven days, where the source has sold for four weeks.
-- Reads core.sales, core.payments.
select
    sale.source || ' ' || concat_ws(' ', pay.method, pay.card_brand) as key,
    format('%%s payments since %%s', count(*), min(sale.business_date)) as found
from core.sales as sale
inner join core.payments as pay on sale.sale_id = pay.sale_id
where
    sale.business_date > %(today)s - 60
    and exists (
        select
        from core.sales as earlier
        where earlier.source = sale.source and earlier.business_date between %(today)s - 60 and %(today)s - 28
    )
group by sale.source, pay.method, pay.card_brand
having min(sale.business_date) > %(today)s - 8
