"""
PostgreSQL: version, settings that keep data, who may log in from where, migrations, clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from db.connection import connect
from db.migrate import migrations
from panpan.doctor.check import Checks, Verdict, bad, none_of, well
from panpan.doctor.floors import products
from panpan.settings import Settings

SAFE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "data_checksums": "on"}
NEAR = ("127.0.0.1", "::1", "samehost", None)
CLOCK_SECONDS = 60
ABOVE = "remove your line from postgresql.conf, then bin/panpan down and bin/panpan up"

checks = Checks()


@dataclass(frozen=True)
class Database:
    """
    settings: pg_settings by name. logins: (address, method) of pg_hba.conf; address None is a local socket.
    used: share of the connections in use. pending and changed: names of migrations.
    clock_off: seconds its clock is ahead of ours; newest: the newest moment it has written down.
    """

    version: str
    settings: dict[str, str]
    logins: list[tuple[str | None, str]]
    used: float
    pending: list[str]
    changed: list[str]
    clock_off: float
    newest: datetime | None
    now: datetime


def look(settings: Settings) -> Database:
    """
    Ask the server as its superuser, the warehouse as its owner.

    Errors: DatabaseError when it can't be reached.
    """
    with connect(settings, "postgres", "postgres") as connection, connection.cursor() as cursor:
        cursor.execute("select name, setting from pg_settings")
        found = dict(cursor.fetchall())
        cursor.execute("select address, auth_method from pg_hba_file_rules where error is null")
        logins = list(cursor.fetchall())
        cursor.execute("select count(*) from pg_stat_activity where backend_type = 'client backend'")
        (used,) = cursor.fetchone() or (0,)
        cursor.execute("select clock_timestamp()")
        (theirs,) = cursor.fetchone() or (datetime.now(UTC),)
    now = datetime.now(UTC)
    applied, newest = applied_migrations(settings)
    known = {migration.name: migration.sha256 for migration in migrations()}
    return Database(
        version=found["server_version"].split()[0],
        settings=found,
        logins=logins,
        used=used / int(found["max_connections"]),
        pending=[name for name in known if name not in applied],
        changed=[name for name, sha256 in applied.items() if known.get(name) != sha256],
        clock_off=(theirs - now).total_seconds(),
        newest=newest,
        now=now,
    )


def applied_migrations(settings: Settings) -> tuple[dict[str, str], datetime | None]:
    """What is recorded as applied, by name, and the newest moment of migrations and loads."""
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute("select to_regclass('ops.applied_migrations') is null or to_regclass('ops.loads') is null")
        if (cursor.fetchone() or (True,))[0]:
            return {}, None
        cursor.execute("select name, sha256 from ops.applied_migrations")
        applied = dict(cursor.fetchall())
        cursor.execute(
            "select greatest((select max(applied_at) from ops.applied_migrations),"
            " (select max(started_at) from ops.loads))"
        )
        (newest,) = cursor.fetchone() or (None,)
    return applied, newest


@checks.add("postgres-version", "error", Database)
def postgres_version(database: Database) -> Verdict:
    known = products()["postgresql"]
    if known.is_below(database.version):
        holes = ", ".join(hole.id for hole in known.holes_of(database.version))
        fix = f"raise it to {known.floor} or later: docs/upgrade.md"
        return bad(f"PostgreSQL {database.version} is below {known.floor}: {holes}", fix)
    return well(f"PostgreSQL {database.version}")


@checks.add("postgres-durable", "error", Database)
def postgres_durable(database: Database) -> Verdict:
    wrong = [f"{name} = {database.settings[name]}" for name, value in SAFE.items() if database.settings[name] != value]
    return none_of(wrong, "what is committed survives a power cut", "a power cut may lose or break data", ABOVE)


@checks.add("postgres-connections", "warning", Database)
def postgres_connections(database: Database) -> Verdict:
    share = f"{database.used:.0%} of PostgreSQL's connections are in use"
    return well(share) if database.used < 0.8 else bad(share, "bin/panpan down, then bin/panpan up")


@checks.add("migrations-applied", "error", Database)
def migrations_applied(database: Database) -> Verdict:
    fix = "bin/panpan up applies them, after bin/panpan backups create"
    return none_of(database.pending, "every migration is applied", "not applied", fix)


@checks.add("migrations-unchanged", "error", Database)
def migrations_unchanged(database: Database) -> Verdict:
    fix = "bring the files back from git: the database is newer than this checkout, or a file was edited"
    return none_of(database.changed, "the schema is what its files say", "not as they were applied", fix)


@checks.add("clock", "error", Database)
def clock(database: Database) -> Verdict:
    fix = "set the machine's clock (timedatectl set-ntp true)"
    if abs(database.clock_off) > CLOCK_SECONDS:
        return bad(f"PostgreSQL's clock is {database.clock_off:.0f} seconds off ours", fix)
    if database.newest and (ahead := (database.newest - database.now).total_seconds()) > CLOCK_SECONDS:
        return bad(f"the database has entries {ahead:.0f} seconds in the future: the clock was set back", fix)
    return well("the clocks agree")


@checks.add("postgres-passwords", "error", Database, security=True)
def postgres_passwords(database: Database) -> Verdict:
    found = database.settings["password_encryption"]
    if found != "scram-sha-256":
        return bad(f"password_encryption = {found}", ABOVE)
    return well("passwords are kept as SCRAM verifiers")


@checks.add("postgres-logins", "error", Database, security=True)
def postgres_logins(database: Database) -> Verdict:
    wrong = [f"{address or 'socket'} by {method}" for address, method in database.logins if method != "scram-sha-256"]
    fix = "put scram-sha-256 into pg_hba.conf, then bin/panpan down and bin/panpan up"
    return none_of(wrong, "every login asks for a password", "weak logins in pg_hba.conf", fix)


@checks.add("postgres-near", "error", Database, security=True, machine=True)
def postgres_near(database: Database) -> Verdict:
    far = [str(address) for address, method in database.logins if address not in NEAR and method != "reject"]
    fix = "remove these lines from pg_hba.conf, or name the one network of the containers there"
    return none_of(far, "logins come from this machine only", "pg_hba.conf lets in", fix)


@checks.add("postgres-listens", "error", Database, security=True, machine=True)
def postgres_listens(database: Database) -> Verdict:
    found = database.settings["listen_addresses"]
    if set(found.split(",")) - {"127.0.0.1", "::1", "localhost", ""}:
        return bad(f"listen_addresses = {found}", ABOVE)
    return well("PostgreSQL listens on this machine only")


@checks.add("postgres-log", "warning", Database, security=True)
def postgres_log(database: Database) -> Verdict:
    kept = {"log_statement": ("none", "ddl"), "log_parameter_max_length_on_error": ("0",)}
    wrong = [f"{n} = {database.settings[n]}" for n, values in kept.items() if database.settings[n] not in values]
    return none_of(wrong, "the log keeps no values of statements", "customers' data may get into the log", ABOVE)
