-- One row per receipt of checked_sales that has lines: what they add up to. Reads core.sale_lines, checked_sales.
-- A receipt with a line of unknown amount has no amount itself.
select
    line.sale_id,
    count(*) as line_count,
    case when count(*) = count(line.net_amount) then sum(line.gross_amount) end as gross_amount,
    case when count(*) = count(line.net_amount) then sum(line.discount_amount) end as discount_amount,
    case when count(*) = count(line.net_amount) then sum(line.net_amount) end as net_amount,
    sum(line.tax_amount) as tax_amount,
    sum(line.quantity) filter (where line.product_id is not null) as product_quantity,
    sum(line.net_amount) filter (where line.product_id is not null) as product_net_amount,
    count(*) filter (where line.business_date <> sale.business_date) as other_day_count
from checked_sales as sale
inner join core.sale_lines as line on sale.sale_id = line.sale_id
group by line.sale_id
