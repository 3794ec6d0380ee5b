-- One row per side: what each reports, summed by itself. Reads core.sales, core.sale_lines, core.stock_movements.
select
    sold.quantity as our_amount,
    moved.quantity as their_amount,
    sold.records as our_records,
    moved.records as their_records
from (
    select
        coalesce(sum(line.quantity), 0) as quantity,
        count(*) as records
    from core.sales as sale
    inner join core.sale_lines as line on sale.sale_id = line.sale_id
    where
        sale.business_date between %(first_day)s and %(last_day)s
        and sale.source = any(%(ours)s)
        and line.product_id is not null
        and line.quantity is not null
) as sold
cross join (
    select
        coalesce(-sum(quantity), 0) as quantity,
        count(*) as records
    from core.stock_movements
    where kind = 'sale' and business_date between %(first_day)s and %(last_day)s and source = any(%(theirs)s)
) as moved
