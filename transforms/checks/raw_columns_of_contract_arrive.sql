-- One row per file source and column its contract reads that no record of its newest load has.
-- Reads raw_pos.sale_lines, ops.loads, contract_columns. Records of a load lie together, by the number of its document.
with newest as (
    select source, max(load_id) as load_id
    from ops.loads
    where status = 'loaded' and record_count > 0
    group by source
),

records as (
    select newest.source, record.payload
    from newest
    inner join raw_pos.documents as document on newest.load_id = document.load_id
    cross join lateral (
        select line.payload
        from raw_pos.sale_lines as line
        where line.raw_id between document.document_id * 100000000 and (document.document_id + 1) * 100000000 - 1
        order by line.raw_id
        limit 200
    ) as record
)

select
    expected.source || ' ' || expected.column_name as key,
    'no record of the newest load has it' as found
from contract_columns as expected
where
    expected.format = 'csv'
    and expected.kind = 'sale_lines'
    and expected.source in (select records.source from records)
    and not exists (
        select from records where records.source = expected.source and records.payload ? expected.column_name
    )
