-- One row per voided sale whose void is missing or of another amount. Reads core.sales.
select
    sale.source || ' receipt ' || sale.receipt_number as key,
    format('called off, yet %%s of it counts', sale.net_amount + coalesce(sum(void.net_amount), 0)) as found
from core.sales as sale
left join core.sales as void
    on sale.source = void.source and sale.receipt_number = void.reverses_receipt_number and void.event = 'void'
where sale.event = 'voided' and sale.business_date >= %(since)s
group by sale.sale_id
having sale.net_amount + coalesce(sum(void.net_amount), 0) <> 0
