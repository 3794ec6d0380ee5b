"""
Restore a set, or one table of it, into a running server.

Comes in: a set and its key; nothing else is needed. Goes out: databases that were compared with the manifest before
they took their names. What stood under a name is kept under another, never overwritten.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from backups import programs
from backups.create import FILES, Step
from backups.drill import Verdict, compare, restore_databases, verify
from backups.errors import RestoreError
from backups.globals import create_database
from backups.key import BackupKey
from backups.manifest import Manifest
from backups.stream import decrypted
from db.connection import connect
from panpan.errors import UsageError
from panpan.settings import Settings

RESTORING = "{}_restoring"
BEFORE = "{}_before_{:%Y%m%d_%H%M%S}"
TABLE = "{}_table_of_backup"
MARK = "restored from {}"
RENAME_TRIES = 10
USER_RELATIONS = """
select count(*) from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname !~ '^(pg_|information_schema$)' and c.relkind in ('r', 'p', 'v', 'm')
"""

# Told how many of how many bytes are read.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Restored:
    """What was restored, what the comparison said, and under which names the former databases are kept."""

    verdict: Verdict
    databases: dict[str, str]
    kept: dict[str, str]


def require_intact(folder: Path, key: BackupKey) -> Manifest:
    """Errors: RestoreError when the set does not open or is damaged; nothing was touched then."""
    manifest, checks = verify(folder, key, [])
    verdict = Verdict(folder.name, checks, 0.0)
    if manifest is None or not verdict.is_good:
        raise RestoreError(
            f"set {folder.name} can't be restored",
            cause=verdict.reason,
            next="use another set: bin/panpan backups list",
        )
    return manifest


def restore(
    server: Settings,
    folder: Path,
    key: BackupKey,
    names: Mapping[str, str],
    *,
    replace: Collection[str] = (),
    progress: Progress = lambda *_: None,
    step: Step = lambda _: None,
) -> Restored:
    """
    Restore databases (name in the set -> name to get) and compare them; only then they take their names, all at once.

    A kill before that leaves what was there. replace: names of databases with contents that may be set aside.
    Errors: RestoreError when the set is damaged, a target has contents and was not named, or a comparison fails.
    """
    begun = time.monotonic()
    step("verifying the set")
    manifest = require_intact(folder, key)
    names = dict(names)
    if unknown := sorted(set(names) - set(manifest.databases)):
        raise UsageError(
            f"set {folder.name} has no database {', '.join(unknown)}", cause=f"it has {', '.join(manifest.databases)}"
        )
    refuse_contents(server, names.values(), replace)
    parts = {name: RESTORING.format(under) for name, under in names.items()}
    drop(server, parts.values())
    total = sum(manifest.files[manifest.databases[name].file].byte_count for name in names)
    try:
        restore_databases(server, folder, manifest, key, parts, told=lambda done: progress(done, total), step=step)
        checks = compare(server, manifest, key, parts, step)
        verdict = Verdict(folder.name, checks, round(time.monotonic() - begun, 3))
        if not verdict.is_good:
            raise RestoreError(
                f"set {folder.name} does not restore to what it was made from; nothing was changed",
                cause=verdict.reason,
                next="use another set: bin/panpan backups list",
            )
        kept = take_names(server, {parts[name]: under for name, under in names.items()}, MARK.format(folder.name))
    except BaseException:
        drop(server, parts.values())
        raise
    return Restored(verdict, names, kept)


def refuse_contents(server: Settings, names: Collection[str], replace: Collection[str]) -> None:
    """Errors: RestoreError when a database that was not named has tables."""
    for name in names:
        if name not in replace and has_contents(server, name):
            raise RestoreError(
                f"database {name!r} is not empty",
                cause="it has tables; nothing was changed",
                next=f"--replace {name} sets it aside under another name and restores in its place",
            )


def exists(connection: PgConnection, name: str) -> bool:
    """Whether the server has a database of this name."""
    with connection.cursor() as cursor:
        cursor.execute("select from pg_catalog.pg_database where datname = %s", (name,))
        return cursor.fetchone() is not None


def has_contents(server: Settings, name: str) -> bool:
    """Whether a database exists and has tables."""
    with connect(server, "postgres", "postgres") as connection:
        if not exists(connection, name):
            return False
    with connect(server, "postgres", name) as connection, connection.cursor() as cursor:
        cursor.execute(USER_RELATIONS)
        return cursor.fetchone() != (0,)


def drop(server: Settings, names: Collection[str]) -> None:
    """Drop half-restored databases."""
    with connect(server, "postgres", "postgres", autocommit=True) as connection, connection.cursor() as cursor:
        for name in names:
            cursor.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def is_restored(server: Settings, names: Collection[str], set_name: str) -> bool:
    """Whether all these databases were put in place from a set: what a run that was killed later need not repeat."""
    with connect(server, "postgres", "postgres") as connection, connection.cursor() as cursor:
        cursor.execute(
            "select count(*) from pg_catalog.pg_database"
            " where datname = any (%s) and pg_catalog.shobj_description(oid, 'pg_database') = %s",
            (list(names), MARK.format(set_name)),
        )
        return cursor.fetchone() == (len(names),)


def take_names(server: Settings, final: Mapping[str, str], mark: str) -> dict[str, str]:
    """
    Give restored databases their names in one transaction; gives name -> name under which the former one is kept.

    Errors: RestoreError when programs keep connecting to a former one.
    """
    now = datetime.now(UTC)
    for attempt in range(RENAME_TRIES):
        try:
            with connect(server, "postgres", "postgres") as connection:
                return _rename_all(connection, final, mark, now)
        except psycopg2.errors.ObjectInUse:
            time.sleep(0.2 * (attempt + 1))
    raise RestoreError(
        "a database can't be set aside", cause="programs keep connecting to it", next="bin/panpan down, then again"
    )


def _rename_all(connection: PgConnection, final: Mapping[str, str], mark: str, now: datetime) -> dict[str, str]:
    kept = {}
    with connection.cursor() as cursor:
        for part, name in final.items():
            if exists(connection, name):
                cursor.execute(
                    "select pg_catalog.pg_terminate_backend(pid, 5000) from pg_catalog.pg_stat_activity"
                    " where datname = %s and pid <> pg_catalog.pg_backend_pid()",
                    (name,),
                )
                kept[name] = BEFORE.format(name, now)
                cursor.execute(_rename(name, kept[name]))
            cursor.execute(_rename(part, name))
            comment = sql.SQL("comment on database {} is {}").format(sql.Identifier(name), sql.Literal(mark))
            cursor.execute(comment)
    return kept


def _rename(name: str, to: str) -> sql.Composed:
    return sql.SQL("alter database {} rename to {}").format(sql.Identifier(name), sql.Identifier(to))


def unpack(folder: Path, key: BackupKey, targets: Mapping[str, Path]) -> dict[str, int]:
    """
    The files of a set into their folders (name in the set -> folder); a file that is there stays as it is.

    Gives files written per folder.
    """
    counts = dict.fromkeys(targets, 0)
    with decrypted(folder / FILES, key) as plain, tarfile.open(fileobj=plain, mode="r|gz") as archive:
        for member in archive:
            name, _, rest = member.name.partition("/")
            if name not in targets or not member.isfile() or ".." in Path(rest).parts or Path(rest).is_absolute():
                continue
            target = targets[name] / rest
            source = archive.extractfile(member)
            if target.exists() or source is None:
                continue
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.part")
            with part.open("wb") as stream:
                shutil.copyfileobj(source, stream)
            part.chmod(0o600)
            part.replace(target)
            counts[name] += 1
        while plain.read(2**20):  # to the end, so that a cut file is noticed
            pass
    return counts


def restore_table(
    server: Settings, folder: Path, key: BackupKey, table: str, *, day: date | None = None, step: Step = lambda _: None
) -> tuple[str, int]:
    """
    One table of the warehouse, or one day of it, beside the living one: `restored_<set>.<schema>_<table>`.

    Gives the new table's name and its rows. The living table is not touched.
    Errors: UsageError when the set has no such table, or a day is asked of a table without business_date.
    """
    manifest = require_intact(folder, key)
    dump = manifest.databases[manifest.warehouse]
    if table not in dump.facts.tables:
        raise UsageError(f"set {folder.name} has no table {table!r}", cause="write it as schema.table, core.sales")
    scratch = TABLE.format(server.database_name)
    drop(server, [scratch])
    try:
        with connect(server, "postgres", "postgres", autocommit=True) as connection:
            create_database(connection, manifest.server, manifest.warehouse, scratch)
        schema, name = table.split(".", 1)
        step(f"restoring {table}")
        file = folder / dump.file
        programs.restore(server, scratch, file, key, options=["--section=pre-data"])
        programs.restore(server, scratch, file, key, options=["--data-only", f"--schema={schema}", f"--table={name}"])
        return _copy_aside(server, scratch, schema, name, f"restored_{folder.name.lower().replace('-', '_')}", day)
    finally:
        drop(server, [scratch])


def _copy_aside(server: Settings, scratch: str, schema: str, name: str, side: str, day: date | None) -> tuple[str, int]:
    source_table, target_table = sql.Identifier(schema, name), sql.Identifier(side, f"{schema}_{name}")
    with (
        connect(server, "postgres", scratch) as source,
        connect(server, "postgres") as target,
        source.cursor() as reader,
        target.cursor() as writer,
        tempfile.TemporaryFile() as file,
    ):
        columns = _columns(source, schema, name)
        if day and "business_date" not in columns:
            raise UsageError(f"{schema}.{name} has no business_date", next="leave out --day")
        writer.execute(sql.SQL("create schema if not exists {} authorization owner").format(sql.Identifier(side)))
        writer.execute(sql.SQL("drop table if exists {}").format(target_table))
        definitions = [sql.SQL("{} {}").format(sql.Identifier(c), sql.SQL(t)) for c, t in columns.items()]
        writer.execute(sql.SQL("create table {} ({})").format(target_table, sql.SQL(", ").join(definitions)))
        writer.execute(sql.SQL("alter table {} owner to owner").format(target_table))
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        condition = sql.SQL("business_date = {}").format(sql.Literal(day)) if day else sql.SQL("true")
        select = sql.SQL("select {} from {} where {}").format(names, source_table, condition)
        reader.copy_expert(sql.SQL("copy ({}) to stdout (format binary)").format(select), file)
        file.seek(0)
        writer.copy_expert(sql.SQL("copy {} ({}) from stdin (format binary)").format(target_table, names), file)
        rows = int(writer.rowcount)
    return f"{side}.{schema}_{name}", rows


def _columns(connection: PgConnection, schema: str, name: str) -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "select attname, pg_catalog.format_type(atttypid, atttypmod) from pg_catalog.pg_attribute"
            " where attrelid = pg_catalog.format('%%I.%%I', %s::text, %s::text)::pg_catalog.regclass"
            " and attnum > 0 and not attisdropped order by attnum",
            (schema, name),
        )
        return dict(cursor.fetchall())
