-- One row per purchase of a known customer and month of marts.customer_retention it counts for, under that mart's names:
-- for the month after, as one who could come again, and for its own month, as one who did. A customer counts once, by
-- the first purchase of a month; the others are cited with 0. Reads core.sales, core.sale_lines.
with purchases as (
    select
        sale.sale_id,
        sale.receipt_number,
        sale.customer_id,
        date_trunc('month', sale.business_date)::date as month,
        row_number() over (
            partition by sale.customer_id, date_trunc('month', sale.business_date)
            order by sale.business_date, sale.sale_id
        ) = 1 as is_first
    from core.sales as sale
    where
        sale.event = 'sale'
        and sale.customer_id is not null
        and sale.business_date between (%(first_day)s::date - interval '1 month') and %(last_day)s::date
),

counted as (
    select
        purchases.sale_id,
        purchases.receipt_number,
        (purchases.month + interval '1 month')::date as month,
        purchases.is_first::integer as earlier_count,
        0 as retained_count
    from purchases
    union all
    select
        purchases.sale_id,
        purchases.receipt_number,
        purchases.month,
        0 as earlier_count,
        purchases.is_first::integer as retained_count
    from purchases
    where exists (
        select from purchases as earlier
        where
            earlier.customer_id = purchases.customer_id
            and earlier.month = (purchases.month - interval '1 month')::date
    )
),

summed as (
    select line.sale_id, array_agg(line.raw_id order by line.line_number) as raw_ids
    from core.sale_lines as line
    inner join purchases on line.sale_id = purchases.sale_id
    group by line.sale_id
)

select
    'receipt' as cited,
    counted.sale_id::text as cited_id,
    counted.receipt_number as cited_name,
    summed.raw_ids,
    counted.month,
    counted.earlier_count,
    counted.retained_count
from counted
left join summed on counted.sale_id = summed.sale_id
where (counted.month + interval '1 month')::date <= (select max(newest.business_date) + 1 from core.sales as newest)
