-- One row per customer that no record is any more. Reads matched_records, core.customer_sources.
select distinct matched.old_customer_id as customer_id
from matched_records as matched
where
    matched.old_customer_id <> matched.customer_id
    and not exists (
        select from core.customer_sources as crosswalk
        where crosswalk.customer_id = matched.old_customer_id
    )
