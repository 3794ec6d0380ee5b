-- One row per stage reached by the customers and orders of affected_subjects, at its first time.
-- Reads affected_subjects, stage_customers, core.funnel_events (what contacts reached before), core.customer_sources,
-- core.sales, core.stores. A contact's stage is known from the first change that shows it, whichever came first here;
-- purchases and orders are worked out anew, so a sale that comes late or is cancelled moves them. Refunds do not undo
-- a purchase.
with affected as (
    select distinct subject_id
    from affected_subjects
),

shown as (
    select
        contact.customer as source_customer_id,
        contact.stage,
        contact.updated_at as reached_at,
        (contact.updated_at at time zone %(time_zone)s)::date as reached_on,
        %(source)s as source,
        contact.raw_id,
        contact.load_id
    from stage_customers as contact
    where
        contact.updated_at is not null
        and contact.stage in (
            'subscriber', 'lead', 'marketing qualified', 'sales qualified', 'opportunity', 'customer', 'evangelist'
        )
    union all
    select
        known.source_customer_id,
        known.stage,
        known.reached_at,
        known.reached_on,
        known.source,
        known.raw_id,
        known.load_id
    from affected
    inner join core.customer_sources as contact on affected.subject_id = contact.customer_id
    inner join core.funnel_events as known
        on contact.source = known.source and contact.source_customer_id = known.source_customer_id
),

lifecycle as (
    select distinct on (shown.source, shown.source_customer_id, shown.stage)
        core.key('funnel', 'lifecycle', shown.stage, shown.source, shown.source_customer_id) as event_id,
        'lifecycle' as funnel,
        shown.stage,
        contact.customer_id as subject_id,
        contact.customer_id,
        null::uuid as sale_id,
        shown.source_customer_id,
        shown.reached_at,
        shown.reached_on,
        shown.source,
        shown.raw_id,
        shown.load_id
    from shown
    inner join core.customer_sources as contact
        on shown.source = contact.source and shown.source_customer_id = contact.source_customer_id
    order by shown.source, shown.source_customer_id, shown.stage, shown.reached_at, shown.raw_id
),

numbered as (
    select
        sale.customer_id,
        sale.sale_id,
        sale.sold_at,
        sale.business_date,
        sale.source,
        sale.raw_id,
        sale.load_id,
        row_number() over (partition by sale.customer_id order by sale.business_date, sale.sold_at, sale.sale_id)
            as purchase_number
    from affected
    inner join core.sales as sale on affected.subject_id = sale.customer_id
    where sale.event = 'sale'
),

purchases as (
    select
        core.key('funnel', 'purchases', named.stage, numbered.customer_id::text) as event_id,
        'purchases' as funnel,
        named.stage,
        numbered.customer_id as subject_id,
        numbered.customer_id,
        numbered.sale_id,
        null::text as source_customer_id,
        numbered.sold_at as reached_at,
        numbered.business_date as reached_on,
        numbered.source,
        numbered.raw_id,
        numbered.load_id
    from numbered
    inner join (values (1, 'first purchase'), (2, 'repeat purchase')) as named (purchase_number, stage)
        on numbered.purchase_number = named.purchase_number
),

orders as (
    select sale.*
    from affected
    inner join core.sales as sale on affected.subject_id = sale.sale_id
    where sale.channel = 'delivery' and sale.event in ('sale', 'voided')
),

order_stages as (
    select
        orders.sale_id as subject_id,
        'placed' as stage,
        orders.customer_id,
        orders.sale_id,
        orders.sold_at as reached_at,
        orders.business_date as reached_on,
        orders.source,
        orders.raw_id,
        orders.load_id
    from orders
    union all
    select
        orders.sale_id as subject_id,
        case when orders.event = 'sale' then 'completed' else 'cancelled' end as stage,
        orders.customer_id,
        orders.sale_id,
        greatest(orders.source_updated_at, orders.sold_at) as reached_at,
        greatest(
            (orders.source_updated_at at time zone store.time_zone - store.closing_time)::date, orders.business_date
        ) as reached_on,
        orders.source,
        orders.raw_id,
        orders.load_id
    from orders
    inner join core.stores as store on orders.store_id = store.store_id
    union all
    select distinct on (orders.sale_id)
        orders.sale_id as subject_id,
        'refunded' as stage,
        coalesce(orders.customer_id, refund.customer_id) as customer_id,
        refund.sale_id,
        greatest(refund.sold_at, orders.sold_at) as reached_at,
        greatest(refund.business_date, orders.business_date) as reached_on,
        refund.source,
        refund.raw_id,
        refund.load_id
    from orders
    inner join core.sales as refund on orders.sale_id = refund.reverses_sale_id
    where refund.event = 'refund'
    order by subject_id, reached_at, sale_id
),

reached as (
    select * from lifecycle
    union all
    select * from purchases
    union all
    select
        core.key('funnel', 'orders', order_stages.stage, order_stages.subject_id::text) as event_id,
        'orders' as funnel,
        order_stages.stage,
        order_stages.subject_id,
        order_stages.customer_id,
        order_stages.sale_id,
        null::text as source_customer_id,
        order_stages.reached_at,
        order_stages.reached_on,
        order_stages.source,
        order_stages.raw_id,
        order_stages.load_id
    from order_stages
)

select
    event_id,
    funnel,
    stage,
    subject_id,
    customer_id,
    sale_id,
    source_customer_id,
    reached_at,
    reached_on,
    min(reached_on) over (partition by funnel, subject_id) as entered_on,
    source,
    raw_id,
    load_id,
    reached_at as valid_from
from reached
