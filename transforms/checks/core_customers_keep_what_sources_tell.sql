-- One row per person and attribute told by a source and missing at the person. Reads core.customers, core.customer_facts,
-- core.customer_sources.
select distinct
    'customer ' || person.customer_id || ' ' || fact.attribute as key,
    format('%%s tells it', fact.source) as found
from core.customer_facts as fact
inner join core.customer_sources as record
    on fact.source = record.source and fact.source_customer_id = record.source_customer_id
inner join core.customers as person on record.customer_id = person.customer_id
where
    fact.origin = 'list'
    and (
        (fact.attribute = 'email' and person.email is null)
        or (fact.attribute = 'phone' and person.phone is null)
        or (fact.attribute = 'full_name' and person.full_name is null)
    )
