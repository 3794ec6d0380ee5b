"""
Dashboards as files: their preview, and Metabase made to match them.

Comes in: dashboards/*.yaml, questions/*.sql, the marts. Goes out: views for our own pages, and a Metabase made to
match the files (plan, apply, audit).
"""
