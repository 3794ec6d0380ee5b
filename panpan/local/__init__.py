"""
The servers of a local installation, without Docker: PostgreSQL, n8n, and our own programs beside them.

Comes in: settings. Goes out: detached processes, each remembered under `$PANPAN_HOME/run`, and their health.
"""
