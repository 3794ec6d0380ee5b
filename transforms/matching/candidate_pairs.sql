-- One row per two affected records and rule they agree in; sure where it is one customer of the tills by its own id.
-- Reads affected_records, core.customer_facts, shared_keys (values that do not count, but for own ids).
with compared as (
    select
        fact.source,
        fact.source_customer_id,
        fact.catalogue,
        fact.match_on,
        fact.match_key,
        fact.origin = 'mention' or fact.match_on = 'crm merge' as is_own_id,
        shared.match_key is not null as is_shared
    from core.customer_facts as fact
    inner join affected_records as affected
        on fact.source = affected.source and fact.source_customer_id = affected.source_customer_id
    left join shared_keys as shared
        on fact.match_on = shared.match_on and fact.match_key = shared.match_key
    where fact.match_on is not null
)

select
    lower_one.source,
    lower_one.source_customer_id,
    higher_one.source as other_source,
    higher_one.source_customer_id as other_source_customer_id,
    lower_one.match_on,
    bool_or(lower_one.is_own_id and higher_one.is_own_id) as is_sure
from compared as lower_one
inner join compared as higher_one
    on
        lower_one.catalogue = higher_one.catalogue
        and lower_one.match_on = higher_one.match_on
        and lower_one.match_key = higher_one.match_key
where
    (lower_one.source, lower_one.source_customer_id) < (higher_one.source, higher_one.source_customer_id)
    and (not lower_one.is_shared or lower_one.is_own_id and higher_one.is_own_id)
group by
    lower_one.source, lower_one.source_customer_id,
    higher_one.source, higher_one.source_customer_id, lower_one.match_on
