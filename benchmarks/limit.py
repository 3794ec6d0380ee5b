"""
The limit: what COPY and INSERT ... SELECT, written by hand for this one layout, take for the same tables and marts.

No raw records, no formatted files, no rejects, no lineage, no history: nothing that has those can be faster.
"""

from __future__ import annotations

import csv
from pathlib import Path

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from benchmarks.measure import Steps
from db.connection import connect
from panpan.settings import Settings

FOLDER = Path(__file__).parent / "sql"


def run_limit(settings: Settings, file: Path) -> Steps:
    """COPY the export into a table of texts, then the SQL of the peers."""
    steps = Steps()
    create_tables(settings)
    with connect(settings, "owner") as connection:
        with steps.step("copy"):
            create_items(connection, header_of(file))
            with connection.cursor() as cursor, file.open("rb") as stream:
                columns = sql.SQL(", ").join(map(sql.Identifier, header_of(file)))
                cursor.copy_expert(
                    sql.SQL("copy peer.items ({}) from stdin (format csv, header)").format(columns), stream
                )
        build_model(connection, steps)
    return steps


def create_tables(settings: Settings) -> None:
    """The peers' tables, empty; not part of any time."""
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute((FOLDER / "peer_tables.sql").read_text(encoding="utf-8"))


def create_items(connection: PgConnection, header: list[str]) -> None:
    """The table of texts; `ordinal` keeps the order of the file."""
    columns = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(name)) for name in header)
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("create table peer.items (ordinal bigint generated always as identity, {})").format(columns)
        )


def build_model(connection: PgConnection, steps: Steps) -> None:
    """From peer.items to the marts: the SQL every peer shares. COPY leaves empty cells empty or null: both are none."""
    with connection.cursor() as cursor:
        cursor.execute("set work_mem = '128MB'")  # what role transformer has
        for name in ("core", "marts"):
            with steps.step(name):
                cursor.execute((FOLDER / f"peer_{name}.sql").read_text(encoding="utf-8"))
    with steps.step("commit"):
        connection.commit()


def header_of(file: Path) -> list[str]:
    """The export's column names."""
    with file.open(encoding="utf-8", newline="") as stream:
        return next(csv.reader(stream))
