-- One row per paid receipt whose payments do not add up to it. Reads core.sales, core.payments.
select
    sale.source || ' receipt ' || sale.receipt_number as key,
    format(
        'paid %%s, the receipt says %%s',
        sum(pay.amount),
        sale.net_amount + coalesce(sale.tax_amount, 0) + coalesce(sale.tip_amount, 0)
        + coalesce(sale.gift_card_amount, 0)
    ) as found
from core.sales as sale
inner join core.payments as pay on sale.sale_id = pay.sale_id
where sale.business_date >= %(since)s
group by sale.sale_id
having
    sum(pay.amount)
    <> sale.net_amount
    + coalesce(sale.tax_amount, 0)
    + coalesce(sale.tip_amount, 0)
    + coalesce(sale.gift_card_amount, 0)
