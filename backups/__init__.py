"""
Backup sets: dumped from one snapshot, encrypted, proven by restoring them, copied elsewhere, restored from.

Comes in: the databases and folders of a home. Goes out: one folder per set, verdicts in ops.backup_ledger.
Read first: create.py, then drill.py. Servers to restore into and metric values come as functions from the caller.
"""
