-- One row per affected customer of a source: which of our customers it is, by which rule, how surely, on what
-- evidence. Reads matched_records (transforms/matching).
select
    source,
    source_customer_id,
    customer_id,
    matching_rule,
    matching_score,
    evidence,
    raw_id,
    load_id,
    case when old_customer_id <> customer_id then 'merge' else 'new' end as change_cause
from matched_records
