-- One row per fact as core.customer_facts shall say it. Reads told_facts, told_keys (what of a value tells persons
-- apart), matching_source. A whole name and a postcode of one record are a fact of their own.
with keyed as (
    select
        matching_source.catalogue,
        matching_source.source,
        told.source_customer_id,
        told.origin,
        told.attribute,
        told.part,
        told.value,
        case
            when told.origin = 'mention' then matching_source.own_id_rule
            when told_key.match_key is not null then told_key.rule
        end as match_on,
        case
            when told.origin <> 'mention' and told.attribute <> 'merged_customer' then told_key.match_key
            when matching_source.own_id_rule = 'pos id' and told.origin = 'mention' then told.value
            else concat(matching_source.source, ':', told.value)
        end as match_key,
        case
            when told.origin = 'list' then matching_source.list_precedence
            when told.origin = 'receipt' then matching_source.receipt_precedence
            else 9
        end as precedence,
        told.told_at,
        told.raw_id,
        told.load_id
    from told_facts as told
    cross join matching_source
    left join told_keys as told_key on told.attribute = told_key.attribute and told.value = told_key.value
)

select
    catalogue,
    source,
    source_customer_id,
    origin,
    attribute,
    part,
    value,
    match_on,
    match_key,
    precedence,
    told_at,
    raw_id,
    load_id
from keyed
union all
select
    name.catalogue,
    name.source,
    name.source_customer_id,
    name.origin,
    'name_and_postcode' as attribute,
    1::smallint as part,
    concat(name.value, ', ', postcode.value) as value,
    'name and postcode' as match_on,
    concat(name.match_key, ', ', postcode.match_key) as match_key,
    name.precedence,
    greatest(name.told_at, postcode.told_at) as told_at,
    greatest(name.raw_id, postcode.raw_id) as raw_id,
    greatest(name.load_id, postcode.load_id) as load_id
from keyed as name
inner join keyed as postcode
    on name.source_customer_id = postcode.source_customer_id and name.origin = postcode.origin
where
    name.attribute = 'full_name' and name.match_key like '%% %%'
    and postcode.attribute = 'postal_code' and postcode.match_key is not null
