-- Customers whose time is over are erased some at a time, each with a receipt of its own.
comment on column ops.erasures.erased_by is 'Who did it; retention: the worker, as the time of db/pii.yaml was over.';
comment on column ops.erasures.counts is
'What was changed: records, documents, files, rows by kind; of all together that were erased at once.';
