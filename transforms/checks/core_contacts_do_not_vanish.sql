-- One row per source of lists most of whose people are gone. Reads core.customers, core.customer_sources.
select
    record.source as key,
    format('%%s of %%s people are archived', count(*) filter (where person.is_deleted), count(*)) as found
from core.customer_sources as record
inner join core.customers as person on record.customer_id = person.customer_id
where record.source in (select contract.source from contract_sources as contract where contract.system = 'crm')
group by record.source
having count(*) >= 20 and count(*) filter (where person.is_deleted) > count(*) / 3.0
