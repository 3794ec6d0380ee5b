-- The marts of the peers, each in one statement over all there is.
insert into peer.daily_store_sales
select
    sale.business_date,
    sale.store_id,
    min(store.store_name),
    sale.source,
    sale.channel,
    sale.currency_code,
    count(*) filter (where sale.event = 'sale'),
    count(*) filter (where sale.event = 'refund'),
    count(distinct sale.customer_id),
    sum(item.quantity),
    sum(sale.gross_amount) filter (where sale.event = 'sale'),
    sum(sale.discount_amount) filter (where sale.event = 'sale'),
    coalesce(-sum(sale.net_amount) filter (where sale.event = 'refund'), 0),
    sum(sale.net_amount),
    sum(sale.tax_amount),
    0
from peer.sales as sale
inner join peer.stores as store on sale.store_id = store.store_id
inner join (
    select sale_id, sum(quantity) as quantity from peer.sale_lines group by sale_id
) as item on sale.sale_id = item.sale_id
group by sale.business_date, sale.store_id, sale.source, sale.channel, sale.currency_code;

insert into peer.monthly_store_sales
select
    daily.month,
    daily.store_id,
    daily.store_name,
    daily.source,
    daily.currency_code,
    daily.ticket_count,
    daily.refund_count,
    customer.customer_count,
    daily.item_quantity,
    daily.gross_amount,
    daily.discount_amount,
    daily.refund_amount,
    daily.net_amount,
    daily.tax_amount
from (
    select
        date_trunc('month', business_date)::date as month,
        store_id,
        min(store_name) as store_name,
        source,
        currency_code,
        sum(ticket_count) as ticket_count,
        sum(refund_count) as refund_count,
        sum(item_quantity) as item_quantity,
        sum(gross_amount) as gross_amount,
        sum(discount_amount) as discount_amount,
        sum(refund_amount) as refund_amount,
        sum(net_amount) as net_amount,
        sum(tax_amount) as tax_amount
    from peer.daily_store_sales
    group by date_trunc('month', business_date), store_id, source, currency_code
) as daily
inner join (
    select
        date_trunc('month', business_date)::date as month,
        store_id,
        source,
        currency_code,
        count(distinct customer_id) as customer_count
    from peer.sales
    group by date_trunc('month', business_date), store_id, source, currency_code
) as customer using (month, store_id, source, currency_code);

insert into peer.daily_product_sales
select
    line.business_date,
    sale.store_id,
    sale.source,
    line.product_id,
    min(product.product_name),
    min(product.category),
    line.currency_code,
    sum(line.quantity),
    sum(line.net_amount),
    count(distinct sale.sale_id) filter (where sale.event = 'sale')
from peer.sale_lines as line
inner join peer.sales as sale on line.sale_id = sale.sale_id
inner join peer.products as product on line.product_id = product.product_id
group by line.business_date, sale.store_id, sale.source, line.product_id, line.currency_code;

insert into peer.customer_activity
select
    date_trunc('month', business_date)::date as month,
    customer_id,
    source,
    currency_code,
    count(*) filter (where event = 'sale'),
    sum(net_amount),
    min(min(business_date)) over (partition by customer_id, source),
    max(business_date),
    min(min(business_date)) over (partition by customer_id, source)
    >= date_trunc('month', business_date)::date
from peer.sales
where customer_id is not null and event = 'sale'
group by date_trunc('month', business_date), customer_id, source, currency_code;
