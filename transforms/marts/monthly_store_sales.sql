-- One row per month, store, source and currency, for the affected months.
-- Reads core.sales, core.stores, marts.daily_store_sales, affected_months. Customers can't be added up from days, so
-- they are counted from the receipts; everything else is.
with customers as (
    select month, store_id, source, currency_code, count(customer_id) as customer_count
    from (
        select distinct
            affected_months.month,
            affected_months.store_id,
            affected_months.source,
            sale.currency_code,
            sale.customer_id
        from affected_months
        inner join core.sales as sale
            on
                affected_months.store_id = sale.store_id
                and affected_months.source = sale.source
                and sale.business_date >= affected_months.month
                and sale.business_date < affected_months.month + interval '1 month'
    ) as buyer
    group by month, store_id, source, currency_code
)

select
    affected_months.month,
    affected_months.store_id,
    min(daily.store_name) as store_name,
    affected_months.source,
    daily.currency_code,
    sum(daily.ticket_count)::integer as ticket_count,
    sum(daily.refund_count)::integer as refund_count,
    max(customers.customer_count)::integer as customer_count,
    sum(daily.item_quantity) as item_quantity,
    sum(daily.gross_amount) as gross_amount,
    sum(daily.discount_amount) as discount_amount,
    sum(daily.refund_amount) as refund_amount,
    sum(daily.net_amount) as net_amount,
    sum(daily.tax_amount) as tax_amount
from affected_months
inner join marts.daily_store_sales as daily
    on
        affected_months.store_id = daily.store_id
        and affected_months.source = daily.source
        and daily.business_date >= affected_months.month
        and daily.business_date < affected_months.month + interval '1 month'
inner join customers
    on
        affected_months.month = customers.month
        and affected_months.store_id = customers.store_id
        and affected_months.source = customers.source
        and daily.currency_code = customers.currency_code
group by affected_months.month, affected_months.store_id, affected_months.source, daily.currency_code
