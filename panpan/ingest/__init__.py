"""
Getting what sources send into raw: their settings for n8n, the inbox of files, runs and their outcome.

Comes in: contracts and files. Goes out: ops.source_settings, ops.inbox_files, reports of ops.loads.
n8n does the delivering, through the SQL functions of migrations 0005 and 0006.
"""
