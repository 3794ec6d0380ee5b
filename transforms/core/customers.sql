-- One row per affected person, whatever the sources call them. Reads matched_records (who is one person),
-- core.customer_facts (what each source tells). A CRM list knows better than another list, this better than an API's
-- order, this better than a till's receipt; what a deleted contact says counts last, what can't be read after all.
with member as (
    select
        matched.customer_id,
        matched.source,
        matched.source_customer_id,
        matched.person_source,
        (matched.source, matched.source_customer_id)
        = (matched.person_source, matched.person_customer_id) as is_oldest,
        matched.raw_id,
        matched.load_id,
        coalesce(matched.old_customer_id <> matched.customer_id, false) as has_moved,
        deletion.value::boolean as is_deleted
    from matched_records as matched
    left join core.customer_facts as deletion
        on
            matched.source = deletion.source
            and matched.source_customer_id = deletion.source_customer_id
            and deletion.origin = 'list'
            and deletion.attribute = 'is_deleted'
),

best as (
    select distinct on (member.customer_id, fact.attribute)
        member.customer_id,
        fact.attribute,
        fact.value
    from member
    inner join core.customer_facts as fact
        on member.source = fact.source and member.source_customer_id = fact.source_customer_id
    where fact.attribute in ('full_name', 'email', 'phone', 'postal_code', 'loyalty_card', 'customer_since')
    order by
        member.customer_id asc, fact.attribute asc, coalesce(member.is_deleted, false) asc,
        fact.match_key is null asc, fact.precedence asc, fact.told_at desc, fact.raw_id desc, fact.value asc
),

person as (
    select
        customer_id,
        min(person_source) as source,
        coalesce(bool_and(is_deleted), false) as is_deleted,
        bool_or(has_moved) as has_moved,
        min(raw_id) filter (where is_oldest) as raw_id,
        min(load_id) filter (where is_oldest) as load_id
    from member
    group by customer_id
)

select
    person.customer_id,
    max(best.value) filter (where best.attribute = 'full_name') as full_name,
    max(best.value) filter (where best.attribute = 'email') as email,
    max(best.value) filter (where best.attribute = 'phone') as phone,
    max(best.value) filter (where best.attribute = 'postal_code') as postal_code,
    max(best.value) filter (where best.attribute = 'loyalty_card') as loyalty_card,
    (max(best.value) filter (where best.attribute = 'customer_since'))::date as customer_since,
    person.is_deleted,
    person.source,
    person.raw_id,
    person.load_id,
    case when person.has_moved then 'merge' else 'new' end as change_cause
from person
left join best on person.customer_id = best.customer_id
group by person.customer_id, person.is_deleted, person.has_moved, person.source, person.raw_id, person.load_id
