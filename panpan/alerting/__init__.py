"""
Alerts that can be trusted: rules as files, judged by the worker, told by mail once when they begin and once when over.

Comes in: rules/*.yaml, the marts, the clock. Goes out: states, an outbox of mails, a heartbeat for the second path.
"""
