"""
Customer matching: which customers of the sources are one person, by rules that are data and decisions that win.

Comes in: what a batch tells of customers, core.customer_facts, core.customer_match_decisions.
Goes out: core.customers (one row per person), core.customer_sources (which person, why), refused candidates.
"""
