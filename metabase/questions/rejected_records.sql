-- One row: records refused and kept with their reason, of all records received.
-- Reads marts.data_freshness.
select
    sum(reject_count) as reject_count,
    sum(row_count + reject_count) as record_count
from marts.data_freshness
having count(*) > 0
