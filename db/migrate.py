"""
Bring a database to the state the migrations say: roles, then each file once, in order, with its checksum.

Comes in: db/roles.sql, db/migrations/*.sql. Goes out: a migrated warehouse; ops.applied_migrations says what ran.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection  # the driver's own name is too plain
from psycopg2.extensions import encrypt_password

from db.access import apply_access, drop_masked_views
from db.connection import Role, connect
from panpan.errors import MigrationError
from panpan.settings import Settings

FOLDER = Path(__file__).parent
LOGIN_ROLES: tuple[Role, ...] = ("owner", "loader", "transformer", "bi", "backup", "auditor", "web")
OTHER_DATABASES = ("n8n", "metabase")  # of servers of ours; backups read them too
LOCK_KEY = 7_265_726  # one migration at a time; any fixed number of our own

# Everybody may keep large objects, whatever else is forbidden, unless told otherwise; nobody here needs them.
CLOSE_LARGE_OBJECTS = "revoke execute on function lo_creat, lo_create, lo_from_bytea from public"
RECORD_TABLE = """
create schema if not exists ops;
create table if not exists ops.applied_migrations (
    name text primary key,
    sha256 text not null,
    applied_at timestamptz not null default now()
)
"""


@dataclass(frozen=True)
class Migration:
    """One file of db/migrations: its name, text and checksum."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> list[Migration]:
    """All migrations, in their order."""
    return [Migration(f.name, f.read_text(encoding="utf-8")) for f in sorted((FOLDER / "migrations").glob("*.sql"))]


def migrate(settings: Settings, database: str | None = None) -> list[str]:
    """
    Create roles and the database where missing, then apply what is pending. A second run changes nothing.

    Gives the names applied now.
    Errors: MigrationError when an applied file was edited or removed since, or one fails (nothing of it stays).
    """
    name = database or settings.database_name
    create_roles(settings)
    create_database(settings, name)
    open_to_backup(settings)
    with connect(settings, "owner", name) as connection:
        return apply_pending(connection, migrations())


def pending_over_data(settings: Settings) -> list[str]:
    """
    What `migrate` would apply to a database that something was ever loaded into; nothing for an empty or missing one.

    Errors: MigrationError when an applied file was edited or removed since.
    """
    with connect(settings, "postgres", "postgres") as connection, connection.cursor() as cursor:
        cursor.execute("select exists (select from pg_database where datname = %s)", (settings.database_name,))
        if cursor.fetchone() != (True,):
            return []
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute("select to_regclass('ops.loads') is not null")
        if cursor.fetchone() != (True,):
            return []
        cursor.execute("select exists (select from ops.loads)")
        if cursor.fetchone() != (True,):
            return []
        return [migration.name for migration in _pending(cursor, migrations())]


def create_roles(settings: Settings) -> None:
    """Make the login roles and set their passwords; the server only ever sees SCRAM verifiers."""
    with connect(settings, "postgres", "postgres") as connection, connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", (LOCK_KEY,))
        cursor.execute((FOLDER / "roles.sql").read_text(encoding="utf-8"))
        for role in LOGIN_ROLES:
            password = getattr(settings, f"{role}_password").get_secret_value()
            verifier = encrypt_password(password, role, connection, "scram-sha-256")
            cursor.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(verifier)))
        # Only who wants every change kept needs a role that may receive them.
        streaming = sql.SQL("replication" if settings.point_in_time else "noreplication")
        cursor.execute(sql.SQL("alter role backup {}").format(streaming))


def create_database(settings: Settings, name: str) -> None:
    """Make the database where it is missing, owned by owner, closed to all but our roles."""
    with (
        connect(settings, "postgres", "postgres", autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("select pg_advisory_lock(%s)", (LOCK_KEY,))  # given back with the connection
        cursor.execute("select 1 from pg_database where datname = %s", (name,))
        if cursor.fetchone() is None:
            cursor.execute(sql.SQL("create database {} owner owner").format(sql.Identifier(name)))
        close_to_others = "alter database {0} owner to owner; revoke all on database {0} from public"
        open_to_ours = (
            "grant connect on database {0} to loader, transformer, bi, backup, auditor, web; "
            "grant temporary on database {0} to transformer, web"
        )
        for statement in (*close_to_others.split("; "), *open_to_ours.split("; ")):
            cursor.execute(sql.SQL(statement).format(sql.Identifier(name)))
    with connect(settings, "postgres", name) as connection, connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", (LOCK_KEY,))  # a lock is of one database; this is another
        cursor.execute(CLOSE_LARGE_OBJECTS)


def open_to_backup(settings: Settings) -> None:
    """Let role backup into the databases of n8n and Metabase, where there are such."""
    with connect(settings, "postgres", "postgres") as connection, connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", (LOCK_KEY,))
        cursor.execute(
            "select datname from pg_database where datname = any (%s)"
            " and not has_database_privilege('backup', datname, 'connect')",
            (list(OTHER_DATABASES),),
        )
        for (name,) in cursor.fetchall():
            cursor.execute(sql.SQL("grant connect on database {} to backup").format(sql.Identifier(name)))


def apply_pending(connection: PgConnection, known: list[Migration]) -> list[str]:
    """Apply what is not recorded yet, all in the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", (LOCK_KEY,))
        cursor.execute(RECORD_TABLE)
        pending = _pending(cursor, known)
        if pending:
            drop_masked_views(cursor)
        for migration in pending:
            apply(cursor, migration)
        apply_access(cursor)
    return [migration.name for migration in pending]


def _pending(cursor: psycopg2.extensions.cursor, known: list[Migration]) -> list[Migration]:
    cursor.execute("select name, sha256 from ops.applied_migrations order by name")
    applied = dict(cursor.fetchall())
    refuse_changed(applied, known)
    return [migration for migration in known if migration.name not in applied]


def apply(cursor: psycopg2.extensions.cursor, migration: Migration) -> None:
    """Run one file and record it."""
    try:
        cursor.execute(migration.text)
    except psycopg2.Error as error:
        raise MigrationError(
            f"migration {migration.name} failed; nothing of it was kept",
            cause=str(error).strip(),
            next=f"correct db/migrations/{migration.name}, then bin/panpan up",
        ) from error
    cursor.execute(
        "insert into ops.applied_migrations (name, sha256) values (%s, %s)",
        (migration.name, migration.sha256),
    )


def refuse_changed(applied: dict[str, str], known: list[Migration]) -> None:
    """An applied migration must still be there, word for word."""
    checksums = {migration.name: migration.sha256 for migration in known}
    for name, sha256 in applied.items():
        if checksums.get(name) != sha256:
            found = "was changed" if name in checksums else "is missing"
            raise MigrationError(
                f"migration {name} {found} since it was applied",
                cause=f"recorded sha256 {sha256[:12]}, file {checksums.get(name, 'none')[:12]}",
                next=f"restore db/migrations/{name} from git and put the change into a new migration",
            )
