-- One row per store, source and day of the last 14 days with 5 percent or more of its revenue outside the product list, and
-- three times the share of the 60 days before. Reads core.sale_lines, core.sales, core.products.
with days as (
    select
        sale.source,
        sale.store_id,
        sale.business_date,
        coalesce(sum(line.net_amount) filter (where not product.is_master), 0)
        / nullif(sum(line.net_amount), 0) as share
    from core.sale_lines as line
    inner join core.sales as sale on line.sale_id = sale.sale_id
    inner join core.products as product on line.product_id = product.product_id
    where
        sale.event = 'sale'
        and sale.business_date between %(today)s - 74 and %(today)s
        and exists (select from core.products as listed where listed.catalogue = product.catalogue and listed.is_master)
    group by sale.source, sale.store_id, sale.business_date
),

usual as (
    select source, store_id, percentile_cont(0.5) within group (order by share) as share
    from days
    where business_date < %(today)s - 14
    group by source, store_id
    having count(*) >= 7
)

select
    days.source || ' ' || days.store_id || ' ' || days.business_date as key,
    format(
        '%%s %%%% of the revenue, usually %%s %%%%', round(days.share * 100, 1), round(usual.share::numeric * 100, 1)
    ) as found
from days
inner join usual on days.source = usual.source and days.store_id = usual.store_id
where days.business_date >= %(today)s - 14 and days.share >= usual.share + 0.1 and days.share >= 0.15
