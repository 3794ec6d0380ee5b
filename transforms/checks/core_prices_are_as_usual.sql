-- One row per line of the last 14 days whose price of one is far from the product's of the 60 days before.
-- Reads core.sale_lines, core.sales.
with prices as (
    select
        sale.source,
        sale.receipt_number,
        sale.business_date,
        line.line_number,
        line.product_id,
        coalesce(line.variation, '') as variation,
        line.gross_amount / line.quantity as price
    from core.sale_lines as line
    inner join core.sales as sale on line.sale_id = sale.sale_id
    where
        line.business_date between %(today)s - 74 and %(today)s
        and sale.event = 'sale'
        and line.product_id is not null
        and line.gross_amount > 0
        and line.quantity > 0
),

usual as (
    select
        source,
        product_id,
        variation,
        percentile_cont(0.05) within group (order by price) as low,
        percentile_cont(0.95) within group (order by price) as high
    from prices
    where business_date < %(today)s - 14
    group by source, product_id, variation
    having count(*) >= 10
)

select
    prices.source || ' receipt ' || prices.receipt_number || ' line ' || prices.line_number as key,
    format(
        '%%s each, usually %%s to %%s',
        round(prices.price, 2), round(usual.low::numeric, 2), round(usual.high::numeric, 2)
    ) as found
from prices
inner join usual
    on
        prices.source = usual.source
        and prices.product_id = usual.product_id
        and prices.variation = usual.variation
where
    prices.business_date >= %(today)s - 14
    and (prices.price > usual.high * 5 or prices.price < usual.low / 5)
