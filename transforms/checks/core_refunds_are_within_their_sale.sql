-- One row per sale whose refunds are greater than it. Reads core.sales.
select
    sale.source || ' receipt ' || sale.receipt_number as key,
    format('sold for %%s, refunded %%s', sale.net_amount, -sum(refund.net_amount)) as found
from core.sales as refund
inner join core.sales as sale on refund.reverses_sale_id = sale.sale_id
where refund.event = 'refund' and refund.business_date >= %(since)s
group by sale.sale_id
having -sum(refund.net_amount) > sale.net_amount + 0.01
