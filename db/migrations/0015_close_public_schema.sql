-- Nothing of ours lives in schema public but the types of an extension, whose operators need no right to be used in an
-- index. What the readers (auditor, web) and the masked views may show is granted by db/access.py after migrations.
revoke all on schema public from public;
