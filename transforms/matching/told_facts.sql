-- One row per fact of each customer named in the batch, whole sets per record and origin: what is told now, and of
-- receipts what was told before and no receipt since told otherwise. Reads stage_customers, stage_sale_lines,
-- matching_source (the contract), core.customer_facts. Pure: any order of the same batches ends in the same facts.
with listed as (
    select distinct on (customer)
        *,
        coalesce(updated_at, '-infinity') as told_at
    from stage_customers
    order by customer asc, updated_at desc nulls last, raw_id desc
),

-- A list's record is all the list knows: an older version adds nothing.
newest as (
    select listed.*
    from listed
    left join core.customer_facts as known
        on
            known.source = %(source)s
            and listed.customer = known.source_customer_id
            and known.origin = 'list'
            and known.attribute = 'is_deleted'
    where core.may_replace(listed.told_at, listed.raw_id, known.told_at, known.raw_id)
),

-- Receipts repeat themselves: each different set of values once, at the last receipt that has it.
bought as (
    select
        customer,
        customer_name,
        customer_email,
        customer_phone,
        customer_postal_code,
        loyalty_card,
        max(array[extract(epoch from coalesce(updated_at, sold_at)), raw_id, load_id]) as told
    from stage_sale_lines
    where customer is not null
    group by customer, customer_name, customer_email, customer_phone, customer_postal_code, loyalty_card
),

told_by_receipts as (
    select distinct on (heard.customer, heard.attribute)
        heard.customer,
        heard.attribute,
        heard.value,
        heard.told_at,
        heard.raw_id,
        heard.load_id
    from (
        select
            bought.customer,
            fact.attribute,
            fact.value,
            timestamptz 'epoch' + make_interval(secs => bought.told[1]::double precision) as told_at,
            bought.told[2]::bigint as raw_id,
            bought.told[3]::bigint as load_id
        from bought
        cross join
            lateral (
                values
                ('full_name', bought.customer_name),
                ('email', bought.customer_email),
                ('phone', bought.customer_phone),
                ('postal_code', bought.customer_postal_code),
                ('loyalty_card', bought.loyalty_card)
            ) as fact (attribute, value)
        where fact.value is not null
        union all
        select
            known.source_customer_id as customer,
            known.attribute,
            known.value,
            known.told_at,
            known.raw_id,
            known.load_id
        from core.customer_facts as known
        where
            known.source = %(source)s
            and known.origin = 'receipt'
            and known.attribute <> 'name_and_postcode'
            and known.source_customer_id in (select bought.customer from bought)
    ) as heard
    order by heard.customer asc, heard.attribute asc, heard.told_at desc, heard.raw_id desc
),

merged as (
    select
        list.customer,
        part.merged_customer,
        part.number,
        list.told_at,
        list.raw_id,
        list.load_id
    from newest as list
    cross join
        lateral
        regexp_split_to_table(list.merged_customers, '[;,\s]+') with ordinality as part (merged_customer, number)
    where part.merged_customer <> ''
),

-- The record that names a customer first says how old it is to us. What is only named as merged is younger than what
-- the same record is about.
mentioned as (
    select distinct on (mention.customer)
        mention.customer,
        mention.told_at,
        mention.raw_id,
        mention.load_id
    from (
        select
            customer,
            timestamptz '-infinity' as told_at,
            raw_id,
            load_id
        from stage_customers
        union all
        select
            customer,
            timestamptz '-infinity' as told_at,
            min(raw_id) as raw_id,
            min(load_id) as load_id
        from stage_sale_lines
        where customer is not null
        group by customer
        union all
        select
            part.merged_customer as customer,
            timestamptz 'infinity' as told_at,
            list.raw_id,
            list.load_id
        from stage_customers as list
        cross join lateral regexp_split_to_table(list.merged_customers, '[;,\s]+') as part (merged_customer)
        where part.merged_customer <> ''
    ) as mention
    order by mention.customer asc, mention.raw_id asc, mention.told_at asc
)

select
    list.customer as source_customer_id,
    'list' as origin,
    fact.attribute,
    1::smallint as part,
    fact.value,
    list.told_at,
    list.raw_id,
    list.load_id
from newest as list
cross join
    lateral (
        values
        ('full_name', list.full_name),
        ('email', list.email),
        ('phone', list.phone),
        ('postal_code', list.postal_code),
        ('loyalty_card', list.loyalty_card),
        ('customer_since', list.customer_since::text),
        ('is_deleted', list.is_deleted::text),
        ('pos_customer', list.pos_customer)
    ) as fact (attribute, value)
where fact.value is not null
union all
select
    customer as source_customer_id,
    'list' as origin,
    'merged_customer' as attribute,
    number::smallint as part,
    merged_customer as value,
    told_at,
    raw_id,
    load_id
from merged
union all
select
    customer as source_customer_id,
    'receipt' as origin,
    attribute,
    1::smallint as part,
    value,
    told_at,
    raw_id,
    load_id
from told_by_receipts
union all
select
    mention.customer as source_customer_id,
    'mention' as origin,
    'customer' as attribute,
    1::smallint as part,
    mention.customer as value,
    least(
        case when known.raw_id = mention.raw_id then known.told_at end, mention.told_at
    ) as told_at,
    mention.raw_id,
    mention.load_id
from mentioned as mention
left join core.customer_facts as known
    on
        known.source = %(source)s
        and mention.customer = known.source_customer_id
        and known.origin = 'mention'
        and known.attribute = 'customer'
where known.source is null or mention.raw_id <= known.raw_id
