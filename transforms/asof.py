"""
Tables as they were known at a past moment: core tables from their versions, marts by their own selects over these.

Comes in: a moment and a table. Goes out: its rows as of then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection
from psycopg2.extras import RealDictCursor

from db.connection import connect
from panpan.errors import UsageError
from panpan.settings import Settings
from transforms.merge import Table, select_text
from transforms.tables import ALL_CORE, SALES_MARTS, STOCK_MARTS

CORE = {table.name: table for table in ALL_CORE}
MARTS = {table.name: table for table in (*SALES_MARTS, *STOCK_MARTS)}


def rows_as_of(settings: Settings, moment: datetime, name: str, limit: int | None = None) -> list[dict[str, Any]]:
    """
    A table's rows as known at a moment, in key order.

    name: `sales` or `core.sales`, `marts.daily_store_sales`.
    Errors: UsageError for a table without history.
    """
    table = find_table(name)
    with connect(settings, "transformer") as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute("select set_config('panpan.as_of', %s, true)", (moment.isoformat(),))
        with _relation(connection, table) as relation:
            cursor.execute(
                sql.SQL("select * from {} order by {} limit {}").format(
                    relation, sql.SQL(", ").join(map(sql.Identifier, table.keys)), sql.Literal(limit)
                )
            )
            return [dict(row) for row in cursor.fetchall()]


def find_table(name: str) -> Table:
    """A table by name, with or without its schema. Errors: UsageError naming the ones with a past."""
    schema, _, plain = name.rpartition(".")
    for known in ((CORE, "core"), (MARTS, "marts")):
        if plain in known[0] and schema in ("", known[1]):
            return known[0][plain]
    raise UsageError(
        f"{name!r} has no past to show",
        cause=f"tables with one: {', '.join([*CORE, *(f'marts.{mart}' for mart in MARTS)])}",
    )


@contextmanager
def as_of_marts(settings: Settings, moment: datetime, marts: Sequence[str]) -> Iterator[PgConnection]:
    """
    A connection in which pg_temp.asof_<mart> holds each mart as known at a moment, as role transformer.

    Errors: UsageError for a mart without a past, or a moment that has not come.
    """
    for name in marts:
        if name not in MARTS:
            raise UsageError(
                f"marts.{name} has no past to show",
                cause=f"marts with one: {', '.join(MARTS)}",
                next="leave --as-of out",
            )
    with connect(settings, "transformer") as connection:
        with connection.cursor() as cursor:
            cursor.execute("select set_config('panpan.as_of', %s, true)", (moment.isoformat(),))
        for name in marts:
            with _relation(connection, MARTS[name]):
                pass
        yield connection


@contextmanager
def _relation(connection: PgConnection, table: Table) -> Iterator[sql.Composable]:
    """What to select from: the view of a core table, or a mart made again from these views."""
    if table.has_history:
        yield sql.Identifier("core_asof", table.name)
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            create temporary table affected_days on commit drop as
            select distinct business_date, store_id, source from core_asof.sales;
            create temporary table affected_months on commit drop as
            select distinct date_trunc('month', business_date)::date as month, store_id, source from affected_days;
            create temporary table affected_customers on commit drop as
            select distinct customer_id, source from core_asof.sales where customer_id is not null
            """
        )
        # Marts that add up other marts find those under the same name, made as of the same moment.
        for name in _marts_before(table):
            _create(cursor, name)
        _create(cursor, table.name)
        yield sql.Identifier("pg_temp", f"asof_{table.name}")


def _marts_before(table: Table) -> list[str]:
    read = re.findall(r"\bmarts\.(\w+)", select_text("marts", table.name))
    return [name for name in dict.fromkeys(read) if name in MARTS and name != table.name]


def _create(cursor: Any, name: str) -> None:
    text = re.sub(r"\bcore\.(?!key\b)", "core_asof.", select_text("marts", name))
    text = re.sub(r"\bmarts\.(\w+)", r"pg_temp.asof_\1", text)
    head = sql.SQL("create temporary table {} on commit drop as ").format(sql.Identifier(f"asof_{name}"))
    cursor.execute(head + sql.SQL(text), {})
