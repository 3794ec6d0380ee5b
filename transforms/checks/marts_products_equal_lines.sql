-- One row per day, store and source whose products differ from the lines that name one. Reads marts.daily_product_sales,
-- checked_sales, checked_lines, checked_days.
with lines as (
    select
        sale.business_date,
        sale.store_id,
        sale.source,
        sum(receipt.product_quantity) as quantity,
        sum(receipt.product_net_amount) as net_amount
    from checked_sales as sale
    inner join checked_lines as receipt on sale.sale_id = receipt.sale_id
    group by sale.business_date, sale.store_id, sale.source
),

shown as (
    select
        mart.business_date,
        mart.store_id,
        mart.source,
        sum(mart.quantity) as quantity,
        sum(mart.net_amount) as net_amount
    from marts.daily_product_sales as mart
    inner join checked_days as day
        on mart.business_date = day.business_date and mart.store_id = day.store_id and mart.source = day.source
    group by mart.business_date, mart.store_id, mart.source
)

select
    coalesce(lines.source, shown.source) || ' ' || coalesce(lines.store_id, shown.store_id) || ' '
    || coalesce(lines.business_date, shown.business_date) as key,
    format(
        'shown %%s pieces for %%s, the lines say %%s for %%s',
        shown.quantity,
        shown.net_amount,
        lines.quantity,
        lines.net_amount
    ) as found
from lines
full join shown
    on
        lines.business_date = shown.business_date
        and lines.store_id = shown.store_id
        and lines.source = shown.source
where (lines.quantity, lines.net_amount) is distinct from (shown.quantity, shown.net_amount)
