"""
What a database is, in facts that can be compared: rows and checksum of each table, sequences, structure, grants.

Comes in: a connection that may read everything. Goes out: Facts, the same for the original and for a true restore.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection
from pydantic import BaseModel

# One spelling of each value whatever the server's or the role's settings say; jit costs more than it gives here.
SESSION = """
set local search_path = '';
set local timezone = 'UTC';
set local datestyle = 'ISO, YMD';
set local intervalstyle = 'postgres';
set local extra_float_digits = 1;
set local bytea_output = 'hex';
set local statement_timeout = 0;
set local jit = off
"""
COLUMNS = """
select a.attname, a.atttypid = 'pg_catalog.bytea'::pg_catalog.regtype
from pg_catalog.pg_attribute as a
where a.attrelid = pg_catalog.format('%%I.%%I', %s::text, %s::text)::pg_catalog.regclass
    and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""
FOLDER = Path(__file__).parent / "facts"
# Each file gives (name, definition); definitions are compared by hash.
STRUCTURE = ("schemas", "relations", "columns", "constraints", "indexes", "views", "functions", "triggers",
             "extensions", "grants")  # fmt: skip


class TableFacts(BaseModel):
    """A table's contents: how many rows, and the sum of their hashes, which does not depend on their order."""

    rows: int
    checksum: str


class Facts(BaseModel):
    """A database as far as it can be compared."""

    tables: dict[str, TableFacts]
    # From the last value read before the dump to the one read after it: sequences know no snapshot.
    sequences: dict[str, tuple[int, int]]
    structure: dict[str, dict[str, str]]

    def differences(self, restored: Facts) -> dict[str, list[str]]:
        """What a restore has otherwise, by kind; each kind empty when all is equal."""
        return {
            "rows": [
                f"{name}: {table.rows} rows in the backup, {_rows(restored, name)} restored"
                for name, table in self.tables.items()
                if table.rows != _rows(restored, name)
            ]
            + [f"{name}: not in the backup" for name in sorted(set(restored.tables) - set(self.tables))],
            "checksums": [
                f"{name}: the contents differ"
                for name, table in self.tables.items()
                if name in restored.tables and table.checksum != restored.tables[name].checksum
            ],
            "sequences": [
                f"{name}: between {low} and {high} in the backup, {restored.sequences.get(name, ('none',))[0]} restored"
                for name, (low, high) in self.sequences.items()
                if not low <= restored.sequences.get(name, (low - 1, 0))[0] <= high
            ],
            "grants": _differing(self.structure["grants"], restored.structure["grants"]),
            "constraints": _differing(self.structure["constraints"], restored.structure["constraints"]),
            "structure": [
                f"{kind} {name}"
                for kind in self.structure
                if kind not in ("grants", "constraints")
                for name in _differing(self.structure[kind], restored.structure.get(kind, {}))
            ],
        }


def prepare(connection: PgConnection) -> None:
    """Fix how values are spelled for the rest of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute(SESSION)


def describe(connection: PgConnection) -> Facts:
    """All facts, in the caller's transaction."""
    prepare(connection)
    return Facts(
        tables=dict(_tables(connection)),
        sequences={name: (value, value) for name, value in sequences(connection).items()},
        structure=structure(connection),
    )


def sequences(connection: PgConnection) -> dict[str, int]:
    """Each sequence's next value."""
    found = {}
    with connection.cursor() as cursor:
        cursor.execute(_statement("sequences"))
        for schema, name in cursor.fetchall():
            cursor.execute(
                sql.SQL("select last_value + is_called::integer from {}").format(sql.Identifier(schema, name))
            )
            [(value,)] = cursor.fetchall()
            found[f"{schema}.{name}"] = int(value)
    return found


def structure(connection: PgConnection) -> dict[str, dict[str, str]]:
    """Category -> object -> short hash of its definition."""
    found = {}
    with connection.cursor() as cursor:
        for kind in STRUCTURE:
            cursor.execute(_statement(kind))
            found[kind] = {
                str(name): hashlib.sha256(_spelling(str(definition)).encode()).hexdigest()[:12]
                for name, definition in sorted(cursor.fetchall())
            }
    return found


def _tables(connection: PgConnection) -> Iterator[tuple[str, TableFacts]]:
    with connection.cursor() as cursor:
        cursor.execute(_statement("tables"))
        for schema, name in cursor.fetchall():
            cursor.execute(COLUMNS, (schema, name))
            # A document may be large: its checksum stands for it, so no row becomes a text of twice its size.
            values = [
                sql.SQL("pg_catalog.sha256({})" if is_bytes else "{}").format(sql.Identifier(column))
                for column, is_bytes in cursor.fetchall()
            ]
            cursor.execute(
                sql.SQL(
                    "select count(*), coalesce(sum(pg_catalog.hashtextextended(row({})::text, 0)), 0)::text from {}"
                ).format(sql.SQL(", ").join(values), sql.Identifier(schema, name))
            )
            [(rows, checksum)] = cursor.fetchall()
            yield f"{schema}.{name}", TableFacts(rows=rows, checksum=checksum)


def _spelling(definition: str) -> str:
    """Casts and brackets aside: the server spells some expressions otherwise once they went through a dump."""
    return re.sub(r"::[a-z]+( [a-z]+)*(\[\])?|[()\s]", "", definition)


def _statement(name: str) -> str:
    return (FOLDER / f"{name}.sql").read_text(encoding="utf-8")


def _rows(facts: Facts, name: str) -> Any:
    return facts.tables[name].rows if name in facts.tables else "no table"


def _differing(original: dict[str, str], restored: dict[str, str]) -> list[str]:
    return [
        f"{name}: {'missing' if name not in restored else 'not in the backup' if name not in original else 'differs'}"
        for name in sorted(set(original) | set(restored))
        if original.get(name) != restored.get(name)
    ]
