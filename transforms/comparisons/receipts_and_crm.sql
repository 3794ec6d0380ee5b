-- One row per finding about a person's first purchase, told by receipts and by the CRM's stage "customer": class, reason,
-- the persons it adds to the CRM's less the tills', and the records that prove it.
-- Reads core.sales, core.customer_sources, core.customers, core.funnel_events.
with bought as (
    select
        sale.customer_id,
        min(sale.business_date) as first_on,
        (array_agg(sale.raw_id order by sale.business_date, sale.sold_at, sale.raw_id))[1] as raw_id,
        (array_agg(sale.store_id order by sale.business_date, sale.sold_at, sale.raw_id))[1] as store_id
    from core.sales as sale
    where sale.event = 'sale' and sale.customer_id is not null and sale.source = any(%(ours)s)
    group by sale.customer_id
),

-- Each contact of the CRM that became a customer; two contacts may be one person.
became as (
    select
        event.customer_id,
        event.source_customer_id,
        event.reached_on,
        event.raw_id,
        row_number() over (partition by event.customer_id order by event.reached_on, event.source_customer_id) as number
    from core.funnel_events as event
    where
        event.funnel = 'lifecycle'
        and event.stage = 'customer'
        and event.source = any(%(theirs)s)
        and event.customer_id is not null
),

contacts as (
    select
        contact.customer_id,
        min(contact.source_customer_id) as source_customer_id,
        array_agg(contact.raw_id order by contact.raw_id) filter (where contact.raw_id is not null) as raw_ids,
        bool_and(customer.is_deleted) as is_deleted
    from core.customer_sources as contact
    inner join core.customers as customer on contact.customer_id = customer.customer_id
    where contact.source = any(%(theirs)s)
    group by contact.customer_id
),

findings as (
    select
        case
            when became.customer_id is not null then 'timing'
            when contacts.is_deleted then 'scope'
            when contacts.customer_id is not null then 'definition'
            else 'missing'
        end as class,
        case
            when became.customer_id is not null then 'the CRM calls them a customer since another day'
            when contacts.is_deleted then 'the contact was deleted in the CRM'
            when contacts.customer_id is not null then 'the CRM knows them and does not call them a customer'
            else 'no contact in the CRM'
        end as reason,
        bought.first_on as business_date,
        bought.store_id,
        bought.customer_id,
        -1 as amount,
        array[bought.raw_id] as our_raw_ids,
        coalesce(array[became.raw_id], contacts.raw_ids) as their_raw_ids
    from bought
    left join became on bought.customer_id = became.customer_id and became.number = 1
    left join contacts on bought.customer_id = contacts.customer_id
    where
        bought.first_on between %(first_day)s and %(last_day)s
        and (became.reached_on is null or became.reached_on not between %(first_day)s and %(last_day)s)
    union all
    select
        case
            when became.number > 1 then 'duplicate'
            when bought.customer_id is not null then 'timing'
            else 'missing'
        end as class,
        case
            when became.number > 1 then 'another contact of the same person'
            when bought.customer_id is not null then 'they bought first on another day'
            else 'the CRM calls them a customer and no receipt names them'
        end as reason,
        became.reached_on as business_date,
        bought.store_id,
        became.customer_id,
        1 as amount,
        case when bought.raw_id is null then '{}' else array[bought.raw_id] end as our_raw_ids,
        array[became.raw_id] as their_raw_ids
    from became
    left join bought on became.customer_id = bought.customer_id
    where
        became.reached_on between %(first_day)s and %(last_day)s
        and (
            became.number > 1
            or bought.first_on is null
            or bought.first_on not between %(first_day)s and %(last_day)s
        )
)

select
    class,
    reason,
    business_date,
    store_id,
    null::uuid as product_id,
    customer_id::text as record,
    amount::numeric as amount,
    our_raw_ids,
    coalesce(their_raw_ids, '{}') as their_raw_ids
from findings
