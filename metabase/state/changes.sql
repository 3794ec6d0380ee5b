-- One row per mart: counters that move whenever its rows change, without reading the rows.
-- Row counts alone would miss a mart rebuilt by a new rule; a truncate moves only the file's number.
-- What marts that are views read counts as well, and the hour: some questions ask how old something is.
select
    relname,
    n_tup_ins,
    n_tup_upd,
    n_tup_del,
    pg_relation_filenode(relid) as file_number,
    extract(hour from now()) as hour_number
from pg_stat_user_tables
where schemaname = 'marts' or (schemaname = 'ops' and relname = 'backup_ledger')
order by relname
