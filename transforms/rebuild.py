"""
A full rebuild from raw: every load taken again by the rules of today, in a scratch database, and compared.

Comes in: the received documents. Goes out: a comparison, table by table; and, when asked, the differences brought into
core as versions with the cause "rule change". The model people read is not touched before the last step.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from db.connection import connect
from db.migrate import migrate
from panpan.settings import Settings
from transforms.merge import HISTORY, LINEAGE, Table, merge, remove_absent
from transforms.published import publish_figures
from transforms.run import LOCK_KEY, Progress, next_known_at, run
from transforms.tables import ALL_CORE, ALL_MARTS

# What people decided or sources sent, as opposed to what is made from it. Loads come last: they are what the run takes.
RECEIVED = (
    ("ops", "source_settings"),
    ("raw_pos", "documents"),
    ("raw_crm", "documents"),
    ("raw_inventory", "documents"),
    ("core", "customer_match_decisions"),
)


@dataclass(frozen=True)
class Comparison:
    """One table: rows in the model, rows in the rebuild, and whether their bytes are equal, row by row in key order."""

    table: str
    rows: int
    rebuilt_rows: int
    is_equal: bool


@dataclass(frozen=True)
class Rebuild:
    """What a rebuild found, and how many rows of the model it changed (0 when only comparing)."""

    comparisons: list[Comparison]
    changed: int

    @property
    def is_equal(self) -> bool:
        return all(comparison.is_equal for comparison in self.comparisons)


def rebuild(settings: Settings, *, compare_only: bool, progress: Progress = lambda _: None) -> Rebuild:
    """
    Replay all loads into a scratch database and compare; unless compare_only, make the model say what the replay says.

    No other transform runs meanwhile. The scratch database is dropped at the end, also after an error.
    """
    with _lock(settings), scratch_warehouse(settings, "rebuild") as scratch:
        progress("copying the received documents")
        _copy_received(settings, scratch)
        progress("replaying every load")
        run(scratch, progress)
        progress("comparing")
        comparisons = [_compare(settings, scratch, table) for table in (*ALL_CORE, *ALL_MARTS)]
        changed = 0 if compare_only else _apply(settings, scratch)
    return Rebuild(comparisons, changed)


@contextmanager
def _lock(settings: Settings) -> Iterator[None]:
    with connect(settings, "transformer", autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(%s)", (LOCK_KEY,))
        yield


@contextmanager
def scratch_warehouse(settings: Settings, purpose: str) -> Iterator[Settings]:
    """
    Settings of an empty, migrated database and of a folder for its files that shares archive and contracts.

    Both are gone afterwards, also after an error.
    """
    name = f"{settings.database_name}_{purpose}"
    with tempfile.TemporaryDirectory(prefix=f"{purpose}-", dir=settings.home) as folder:
        for shared in (settings.archive, settings.own_contracts):
            shared.mkdir(parents=True, exist_ok=True)
            (Path(folder) / shared.name).symlink_to(shared)
        _drop(settings, name)
        try:
            scratch = settings.model_copy(update={"database_name": name, "home": Path(folder)})
            migrate(scratch)
            yield scratch
        finally:
            with suppress(Exception):
                _drop(settings, name)


def _drop(settings: Settings, name: str) -> None:
    with connect(settings, "postgres", "postgres", autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def _copy_received(settings: Settings, scratch: Settings) -> None:
    with connect(settings, "owner") as source, connect(scratch, "owner") as target:
        _copy(
            source,
            target,
            ("ops", "loads"),
            "status in ('loaded', 'refused')",
            {"status": sql.SQL("'received'"), "reason": sql.SQL("null")},
        )
        for table in RECEIVED:
            _copy(source, target, table)


def _copy(
    source: PgConnection,
    target: PgConnection,
    table: tuple[str, str],
    condition: str = "true",
    changed: dict[str, sql.SQL] | None = None,
) -> None:
    """COPY a table's rows from one database to another through a file; a table that is not there is left out."""
    with source.cursor() as reader, target.cursor() as writer, tempfile.TemporaryFile() as file:
        reader.execute(
            "select column_name from information_schema.columns "
            "where table_schema = %s and table_name = %s and is_generated = 'NEVER' order by ordinal_position",
            table,
        )
        columns = [name for (name,) in reader.fetchall()]
        if not columns:
            return
        # Loads name documents that are checked by foreign keys; documents of loads left out stay behind.
        if table[1] == "documents":
            condition = "load_id in (select load_id from ops.loads where status in ('loaded', 'refused'))"
        values = sql.SQL(", ").join((changed or {}).get(name, sql.Identifier(name)) for name in columns)
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        reader.copy_expert(
            sql.SQL("copy (select {} from {} where {}) to stdout (format binary)").format(
                values, sql.Identifier(*table), sql.SQL(condition)
            ),
            file,
        )
        file.seek(0)
        writer.copy_expert(
            sql.SQL("copy {} ({}) from stdin (format binary)").format(sql.Identifier(*table), names), file
        )


def _compare(settings: Settings, scratch: Settings, table: Table) -> Comparison:
    rows, digest = _digest(settings, table)
    rebuilt_rows, rebuilt_digest = _digest(scratch, table)
    return Comparison(f"{table.schema}.{table.name}", rows, rebuilt_rows, digest == rebuilt_digest)


def _digest(settings: Settings, table: Table) -> tuple[int, bytes]:
    """A table's row count and the hash of its rows as text in key order: what was known when is not compared."""
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        columns = _compared_columns(connection, table)
        counted = _Digest()
        cursor.copy_expert(
            sql.SQL("copy (select {} from {} order by {}) to stdout").format(
                sql.SQL(", ").join(map(sql.Identifier, columns)),
                table.identifier,
                sql.SQL(", ").join(map(sql.Identifier, table.keys)),
            ),
            counted,
        )
        return counted.rows, counted.digest()


class _Digest(io.RawIOBase):
    """A file that keeps only the count and the hash of the lines written to it."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.rows = 0

    def writable(self) -> bool:
        return True

    def write(self, text: bytes) -> int:  # type: ignore[override]  # psycopg2 writes bytes only
        self._hash.update(text)
        self.rows += bytes(text).count(b"\n")
        return len(text)

    def digest(self) -> bytes:
        return self._hash.digest()


def _compared_columns(connection: PgConnection, table: Table) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("select * from {} limit 0").format(table.identifier))
        aside = {*HISTORY, *LINEAGE} if table.has_history else set()
        return [column.name for column in cursor.description or () if column.name not in aside]


def _apply(settings: Settings, scratch: Settings) -> int:
    """Bring the rebuilt rows into the model, in one transaction, as changes by rule; gives their number."""
    changed = 0
    with connect(scratch, "owner") as source, connect(settings, "transformer") as connection:
        parameters = {"known_at": next_known_at(connection), "rule_version": "rebuild", "cause": "rule change"}
        tables = [
            replace(table, replaced_by=(), replaced_within=None, is_full=False) for table in (*ALL_CORE, *ALL_MARTS)
        ]
        for table in tables:
            _copy_to_temporary(source, connection, table, rebuilt(table))
            select = sql.SQL("select * from {}").format(sql.Identifier(rebuilt(table)))
            changed += merge(connection, table, parameters, select)
        for table in reversed(tables):  # what refers to a row goes before it
            changed += remove_absent(connection, table, rebuilt(table), parameters)
        with connection.cursor() as cursor:
            cursor.execute(
                "create temporary table affected_days on commit drop as "
                "select business_date, store_id, source from marts.daily_store_sales "
                "union select business_date, store_id, source from marts.published_figures"
            )
            publish_figures(connection, parameters)
            cursor.execute(
                """
                insert into ops.runs (step, row_count, status, known_at, rule_version, started_at, finished_at)
                values ('rebuild', %(changed)s, 'done', %(known_at)s, %(rule_version)s, now(), clock_timestamp())
                """,
                {**parameters, "changed": changed},
            )
    return changed


def rebuilt(table: Table) -> str:
    """Name of the temporary table that holds a table's rebuilt rows."""
    return f"rebuilt_{table.name}"


def _copy_to_temporary(source: PgConnection, connection: PgConnection, table: Table, name: str) -> None:
    with source.cursor() as reader, connection.cursor() as writer, tempfile.TemporaryFile() as file:
        reader.execute(sql.SQL("select * from {} limit 0").format(table.identifier))
        aside = {"known_from"} if table.has_history else set()
        columns = [column.name for column in reader.description or () if column.name not in aside]
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        reader.copy_expert(
            sql.SQL("copy (select {} from {}) to stdout (format binary)").format(names, table.identifier), file
        )
        file.seek(0)
        writer.execute(
            sql.SQL("create temporary table {} on commit drop as select {} from {} limit 0").format(
                sql.Identifier(name), names, table.identifier
            )
        )
        writer.copy_expert(sql.SQL("copy {} from stdin (format binary)").format(sql.Identifier(name)), file)
