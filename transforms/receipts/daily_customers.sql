-- One row per receipt of a known customer behind marts.daily_customers, under that mart's names.
-- Reads core.sales, core.sale_lines. The first purchase is looked for among all receipts, not those of the period.
select
    'receipt' as cited,
    sale.sale_id::text as cited_id,
    sale.receipt_number as cited_name,
    line.raw_ids,
    sale.business_date,
    sale.customer_id,
    sale.store_id,
    sale.source,
    coalesce(sale.channel, 'unknown') as channel,
    sale.currency_code,
    1 as ticket_count,
    line.net_amount,
    first.purchase_on as first_purchase_on
from core.sales as sale
cross join
    lateral (
        select
            array_agg(sale_line.raw_id order by sale_line.line_number) as raw_ids,
            case
                when count(*) = count(sale_line.net_amount) then sum(sale_line.net_amount)
            end as net_amount
        from core.sale_lines as sale_line
        where sale_line.sale_id = sale.sale_id
    ) as line
inner join (
    select
        customer_id,
        min(business_date) as purchase_on
    from core.sales
    where event = 'sale' and customer_id is not null
    group by customer_id
) as first on sale.customer_id = first.customer_id
where sale.event = 'sale' and sale.business_date between %(first_day)s and %(last_day)s
