-- One row per document of the last 14 days whose bytes differ from its checksum. Reads the documents of all systems.
with documents as (
    select 'pos' as system, document_id, content, sha256, received_at from raw_pos.documents
    union all
    select 'crm' as system, document_id, content, sha256, received_at from raw_crm.documents
    union all
    select 'inventory' as system, document_id, content, sha256, received_at from raw_inventory.documents
)

select
    system || ' document ' || document_id as key,
    'its bytes are not those that were received' as found
from documents
where content is not null and received_at > %(now)s - interval '14 days' and sha256(content) <> sha256
