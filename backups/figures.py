"""
The business's own figures in a backup: each metric's statement and what it gave, so that a restore must give the same.

The statement is kept with the set: a set is judged by the definitions it was made with, whatever they are by now.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import psycopg2
from psycopg2.extensions import connection as PgConnection
from pydantic import BaseModel

VALUE = "value"


class Figure(BaseModel):
    """A statement that gives labelled values, and its values as text: labels -> value. Why, when there are none."""

    sql: str
    parameters: dict[str, str]
    values: dict[str, str] = {}
    error: str | None = None


def read_figures(connection: PgConnection, queries: Mapping[str, Figure]) -> dict[str, Figure]:
    """The values of some statements, as the connection's transaction sees them; one that fails stops no other."""
    return {name: _read(connection, figure) for name, figure in queries.items()}


def differences(expected: Mapping[str, Figure], found: Mapping[str, Figure]) -> list[str]:
    """Every value that is not the same to the last digit."""
    differing = []
    for name, figure in expected.items():
        then, now = figure.values, found[name].values
        differing += [
            f"{f'{name} {label}'.strip()}: {then.get(label)} in the backup, {now.get(label)} restored"
            for label in sorted(set(then) | set(now))
            if then.get(label) != now.get(label)
        ]
    return differing


def _read(connection: PgConnection, figure: Figure) -> Figure:
    values: dict[str, str] = {}
    with connection.cursor() as cursor:
        cursor.execute("savepoint figure")
        try:
            cursor.execute(figure.sql, figure.parameters)
            names = [column.name for column in cursor.description or ()]
            for row in cursor.fetchall():
                cells = dict(zip(names, row, strict=True))
                values[" ".join(f"{n}={cell}" for n, cell in cells.items() if n != VALUE)] = str(cells[VALUE])
        except psycopg2.Error as error:
            with suppress(psycopg2.Error):
                cursor.execute("rollback to savepoint figure")
            return figure.model_copy(update={"values": {}, "error": str(error).strip().splitlines()[0]})
    return figure.model_copy(update={"values": values, "error": None})
