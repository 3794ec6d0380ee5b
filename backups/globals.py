"""
What belongs to the server and not to one database: roles, memberships, their settings, and who may connect where.

The same as `pg_dumpall --globals-only --no-role-passwords` would give; that program isn't in the wheel. Passwords are
left out: a restored home sets its own.
"""

from __future__ import annotations

from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection
from pydantic import BaseModel

ROLES = r"""
select r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolreplication,
    r.rolbypassrls, r.rolconnlimit
from pg_catalog.pg_roles as r where r.rolname <> 'postgres' and r.rolname not like 'pg\_%' order by 1
"""
MEMBERSHIPS = r"""
select g.rolname, m.rolname, a.admin_option, a.inherit_option, a.set_option
from pg_catalog.pg_auth_members as a
join pg_catalog.pg_roles as g on g.oid = a.roleid join pg_catalog.pg_roles as m on m.oid = a.member
where m.rolname <> 'postgres' and m.rolname not like 'pg\_%' order by 1, 2
"""
SETTINGS = """
select r.rolname, x.setting
from pg_catalog.pg_db_role_setting as s join pg_catalog.pg_roles as r on r.oid = s.setrole,
    unnest(s.setconfig) as x (setting)
where s.setdatabase = 0 and r.rolname <> 'postgres' order by 1, 2
"""
DATABASES = """
select d.datname, o.rolname, a.privilege_type, case a.grantee when 0 then 'public' else g.rolname end, a.is_grantable
from pg_catalog.pg_database as d join pg_catalog.pg_roles as o on o.oid = d.datdba,
    pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) as a
left join pg_catalog.pg_roles as g on g.oid = a.grantee
where d.datname = any (%s) order by 1, 3, 4
"""
ATTRIBUTES = ("superuser", "inherit", "createrole", "createdb", "login", "replication", "bypassrls")


class Role(BaseModel):
    """A role without its password."""

    name: str
    attributes: dict[str, bool]
    connection_limit: int


class Globals(BaseModel):
    """Everything of the server that a restore needs before the databases."""

    roles: list[Role]
    memberships: list[tuple[str, str, bool, bool, bool]]
    settings: list[tuple[str, str]]
    owners: dict[str, str]
    database_grants: list[tuple[str, str, str, bool]]

    def differences(self, restored: Globals) -> list[str]:
        """What the restored server lacks or has otherwise."""
        found = []
        for kind in ("roles", "memberships", "settings", "database_grants"):
            here, there = getattr(self, kind), getattr(restored, kind)
            found += [f"{kind}: {_plain(each)} is missing" for each in here if each not in there]
        return found + [f"owner of {n}: {o}" for n, o in self.owners.items() if restored.owners.get(n) != o]


def read_globals(connection: PgConnection, databases: list[str]) -> Globals:
    """The globals of the connected server, as far as some databases need them."""
    roles = [
        Role(name=name, attributes=dict(zip(ATTRIBUTES, flags, strict=True)), connection_limit=limit)
        for name, *flags, limit in _rows(connection, ROLES)
    ]
    grants = _rows(connection, DATABASES, (databases,))
    return Globals(
        roles=roles,
        memberships=[tuple(row) for row in _rows(connection, MEMBERSHIPS)],
        settings=[tuple(row) for row in _rows(connection, SETTINGS)],
        owners={name: owner for name, owner, *_ in grants},
        database_grants=[(name, privilege, grantee, grantable) for name, _, privilege, grantee, grantable in grants],
    )


def apply_globals(connection: PgConnection, wanted: Globals) -> None:
    """Make roles, memberships and settings; those that are there are made equal. The passwords stay as they are."""
    with connection.cursor() as cursor:
        cursor.execute("select rolname from pg_catalog.pg_roles")
        known = {name for (name,) in cursor.fetchall()}
        for role in wanted.roles:
            cursor.execute(role_statement(role, is_known=role.name in known))
        for granted, member, admin, inherit, can_set in wanted.memberships:
            cursor.execute(
                sql.SQL("grant {} to {} with admin {}, inherit {}, set {}").format(
                    sql.Identifier(granted), sql.Identifier(member), *map(_flag, (admin, inherit, can_set))
                )
            )
        for role_name, setting in wanted.settings:
            name, _, value = setting.partition("=")
            cursor.execute(
                sql.SQL("alter role {} set {} to {}").format(
                    sql.Identifier(role_name), sql.Identifier(name), sql.Literal(value)
                )
            )


def create_database(connection: PgConnection, wanted: Globals, name: str, under: str) -> None:
    """An empty database like the one in the backup called `name`, with its owner; not in a transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("create database {} owner {} template template0").format(
                sql.Identifier(under), sql.Identifier(wanted.owners[name])
            )
        )
        cursor.execute(sql.SQL("revoke all on database {} from public").format(sql.Identifier(under)))
        for database, privilege, grantee, grantable in wanted.database_grants:
            if database == name:
                cursor.execute(_grant(under, privilege, grantee, grantable=grantable))


def role_statement(role: Role, *, is_known: bool) -> sql.Composed:
    """Create or alter a role to have exactly these attributes."""
    words = [word if has else f"no{word}" for word, has in role.attributes.items()]
    return sql.SQL("{} role {} with {} connection limit {}").format(
        sql.SQL("alter" if is_known else "create"),
        sql.Identifier(role.name),
        sql.SQL(" ".join(words)),
        sql.Literal(role.connection_limit),
    )


def _grant(database: str, privilege: str, grantee: str, *, grantable: bool) -> sql.Composed:
    return sql.SQL("grant {} on database {} to {}{}").format(
        sql.SQL(privilege),
        sql.Identifier(database),
        sql.SQL("public") if grantee == "public" else sql.Identifier(grantee),
        sql.SQL(" with grant option" if grantable else ""),
    )


def _flag(value: bool) -> sql.SQL:
    return sql.SQL("true" if value else "false")


def _rows(connection: PgConnection, statement: str, values: Any = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def _plain(value: Any) -> str:
    return value.name if isinstance(value, Role) else " ".join(map(str, value))
