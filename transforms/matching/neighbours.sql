-- One row per record that the newest affected records may be one person with, or were until now. Reads
-- affected_records (newest: those of this round), core.customer_facts, changed_facts, core.customer_sources,
-- core.customer_match_decisions, matching_limits. A value that many others bear leads to none of them.
with newest as (
    select
        affected.source,
        affected.source_customer_id
    from affected_records as affected
    where affected.round = %(round)s
),

borne as (
    select
        fact.match_on,
        fact.match_key
    from core.customer_facts as fact
    inner join newest on fact.source = newest.source and fact.source_customer_id = newest.source_customer_id
    where fact.match_on is not null
    union
    select
        changed.match_on,
        changed.match_key
    from changed_facts as changed
    where %(round)s = 0 and changed.match_on is not null
),

telling as (
    select
        borne.match_on,
        borne.match_key
    from borne
    cross join matching_limits
    left join lateral (
        select
            count(distinct name.match_key) as name_count,
            count(distinct fact.source_customer_id) as id_count
        from core.customer_facts as fact
        left join core.customer_facts as name
            on
                fact.source = name.source
                and fact.source_customer_id = name.source_customer_id
                and name.attribute = 'full_name'
                and name.match_key like '%% %%'
        where
            fact.catalogue = %(catalogue)s
            and fact.match_on = borne.match_on
            and fact.match_key = borne.match_key
            and not exists (
                select from affected_records as changing
                where
                    changing.round = 0
                    and changing.source = fact.source
                    and changing.source_customer_id = fact.source_customer_id
            )
    ) as others on true
    where
        borne.match_on in ('pos id', 'crm merge')
        or (others.name_count <= matching_limits.most_names and others.id_count <= matching_limits.most_ids)
)

select
    fact.source,
    fact.source_customer_id
from telling
inner join core.customer_facts as fact
    on telling.match_on = fact.match_on and telling.match_key = fact.match_key
where fact.catalogue = %(catalogue)s
union
select
    member.source,
    member.source_customer_id
from newest
inner join core.customer_sources as own
    on newest.source = own.source and newest.source_customer_id = own.source_customer_id
inner join core.customer_sources as member on own.customer_id = member.customer_id
union
select
    mention.source,
    mention.source_customer_id
from newest
inner join core.customer_match_decisions as decision
    on
        decision.undone_at is null
        and concat(newest.source, ':', newest.source_customer_id) = any(decision.others || decision.record)
cross join lateral unnest(decision.others || decision.record) as named (label)
inner join core.customer_facts as mention
    on
        split_part(named.label, ':', 1) = mention.source
        and substr(named.label, strpos(named.label, ':') + 1) = mention.source_customer_id
        and mention.origin = 'mention'
where decision.is_same
