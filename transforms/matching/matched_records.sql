-- One row per affected record: its person, why, and whose it was until now. Reads found_persons,
-- core.customer_facts (its first mention), core.customer_sources.
select
    found.source,
    found.source_customer_id,
    core.key(found.person_source, 'customer', found.person_customer_id) as customer_id,
    known.customer_id as old_customer_id,
    found.person_source,
    found.person_customer_id,
    found.matching_rule,
    found.matching_score,
    found.evidence,
    mention.raw_id,
    mention.load_id
from found_persons as found
inner join core.customer_facts as mention
    on
        found.source = mention.source
        and found.source_customer_id = mention.source_customer_id
        and mention.origin = 'mention'
left join core.customer_sources as known
    on found.source = known.source and found.source_customer_id = known.source_customer_id
