-- One row per day of the last 14 on which pieces sold and pieces taken from stock differ by more than 30 percent, of products
-- that are in stock. Reads core.sale_lines, core.sales, core.stock_movements, core.products.
with sold as (
    select line.business_date, sum(line.quantity) as quantity
    from core.sale_lines as line
    inner join core.sales as sale on line.sale_id = sale.sale_id
    where
        sale.event = 'sale'
        and line.business_date between %(today)s - 14 and %(today)s - 1
        and line.product_id in (select move.product_id from core.stock_movements as move where move.kind = 'sale')
    group by line.business_date
),

taken as (
    select business_date, -sum(quantity) as quantity
    from core.stock_movements
    where kind = 'sale' and business_date between %(today)s - 14 and %(today)s - 1
    group by business_date
)

select
    sold.business_date::text as key,
    format('%%s pieces sold, %%s taken from stock', round(sold.quantity), round(coalesce(taken.quantity, 0))) as found
from sold
left join taken on sold.business_date = taken.business_date
where
    sold.quantity >= 20
    and sold.business_date <= (select max(move.business_date) from core.stock_movements as move)
    and coalesce(taken.quantity, 0) not between sold.quantity * 0.7 and sold.quantity * 1.3
