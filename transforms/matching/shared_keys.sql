-- One row per value of the affected records that so many bear that it tells nothing of one person. Reads
-- affected_records, core.customer_facts, matching_limits. Names count when they are whole, ids of the tills once.
select
    fact.match_on,
    fact.match_key
from (
    select distinct
        compared.catalogue,
        compared.match_on,
        compared.match_key
    from core.customer_facts as compared
    inner join affected_records as affected
        on compared.source = affected.source and compared.source_customer_id = affected.source_customer_id
    where compared.match_on <> 'crm merge'
) as borne
inner join core.customer_facts as fact
    on
        borne.catalogue = fact.catalogue
        and borne.match_on = fact.match_on
        and borne.match_key = fact.match_key
cross join matching_limits
left join core.customer_facts as name
    on
        fact.source = name.source
        and fact.source_customer_id = name.source_customer_id
        and name.attribute = 'full_name'
        and name.match_key like '%% %%'
group by fact.match_on, fact.match_key
having
    count(distinct name.match_key) > min(matching_limits.most_names)
    or count(distinct fact.source_customer_id) > min(matching_limits.most_ids)
