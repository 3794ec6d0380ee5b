-- One row per side: what each reports, summed by itself. Reads core.sales, core.payments.
select
    coalesce(sum(sale.net_amount), 0) as our_amount,
    coalesce(sum(paid.amount), 0) as their_amount,
    count(*) as our_records,
    coalesce(sum(paid.records), 0) as their_records
from core.sales as sale
left join (
    select
        sale_id,
        sum(amount) as amount,
        count(*) as records
    from core.payments
    group by sale_id
) as paid on sale.sale_id = paid.sale_id
where
    sale.business_date between %(first_day)s and %(last_day)s
    and sale.source = any(%(ours)s)
    and sale.currency_code = %(currency)s
    and sale.net_amount is not null
