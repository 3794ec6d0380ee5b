"""
The database itself: connections by role, migrations, roles, the generated schema.

Comes in: settings. Goes out: SQLAlchemy engines and a migrated PostgreSQL.
"""
