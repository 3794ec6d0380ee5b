-- One row per record of the batch and what rules compared of it before, where anything is told anew, otherwise or no
-- more. Reads next_facts, core.customer_facts.
select
    %(source)s as source,
    coalesce(given.source_customer_id, known.source_customer_id) as source_customer_id,
    known.match_on,
    known.match_key
from next_facts as given
full join (
    select
        fact.source_customer_id,
        fact.origin,
        fact.attribute,
        fact.part,
        fact.value,
        fact.match_on,
        fact.match_key,
        fact.raw_id
    from core.customer_facts as fact
    inner join (select distinct source_customer_id, origin from next_facts) as told_set
        on fact.source_customer_id = told_set.source_customer_id and fact.origin = told_set.origin
    where fact.source = %(source)s
) as known
    on
        given.source_customer_id = known.source_customer_id
        and given.origin = known.origin
        and given.attribute = known.attribute
        and given.part = known.part
where
    given.source_customer_id is null or known.source_customer_id is null
    or (given.value, given.match_on, given.match_key) is distinct from (known.value, known.match_on, known.match_key)
    or given.origin = 'mention' and given.raw_id <> known.raw_id
