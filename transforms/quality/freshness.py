"""
How old what we know is, per source and table: judged by the data that arrived, never by the scheduler.

Comes in: contracts, ops.loads, a moment. Goes out: a temporary table `freshness` for the checks, or a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from psycopg2 import extras
from psycopg2.extensions import connection as PgConnection

from db.connection import connect
from panpan.settings import Settings
from transforms.contract import Contract, Kind, load_contracts

Level = Literal["fresh", "late", "silent"]
SELECT = Path(__file__).with_name("freshness.sql")
# Where records of a kind end up.
TABLES: dict[Kind, str] = {
    "sale_lines": "core.sales",
    "customers": "core.customers",
    "products": "core.products",
    "stores": "core.stores",
    "employees": "core.employees",
    "stock_levels": "core.stock_levels",
    "stock_movements": "core.stock_movements",
    "deliveries": "core.deliveries",
}
# Business goes on every day, so their newest record must be young; other records change seldom.
HAPPENS_DAILY: frozenset[Kind] = frozenset(["sale_lines", "stock_movements"])


@dataclass(frozen=True)
class Freshness:
    """One table of one source. known_until and age_hours are None where nothing was ever loaded."""

    source: str
    title: str
    owner: str
    table: str
    warn_after_hours: int
    error_after_hours: int
    last_record_at: datetime | None
    last_load_at: datetime | None
    known_until: datetime | None
    age_hours: Decimal | None
    level: Level


def freshness(settings: Settings, now: datetime) -> list[Freshness]:
    """Every table of every source that ever sent or tried to, the oldest first."""
    with connect(settings, "transformer") as connection:
        create_freshness(connection, load_contracts(settings.own_contracts), now)
        return read_freshness(connection)


def create_freshness(connection: PgConnection, contracts: Mapping[str, Contract], now: datetime) -> None:
    """The temporary tables contract_tables and freshness, gone with the transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            create temporary table contract_tables (
                source text, title text, owner text, entity text, table_name text, is_judged_by_records boolean,
                warn_after_hours integer, error_after_hours integer
            ) on commit drop
            """
        )
        rows = [row for contract in contracts.values() for row in _tables(contract)]
        extras.execute_values(cursor, "insert into contract_tables values %s", rows)
        select = SELECT.read_text(encoding="utf-8")
        cursor.execute(f"create temporary table freshness on commit drop as {select}", {"now": now})  # our own file


def read_freshness(connection: PgConnection) -> list[Freshness]:
    """The rows of the temporary table, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select source, title, owner, table_name, warn_after_hours, error_after_hours, last_record_at,"
            " last_load_at, known_until, age_hours, level from freshness"
            " order by age_hours desc nulls first, source, table_name"
        )
        return [Freshness(*row) for row in cursor.fetchall()]


def _tables(contract: Contract) -> Iterator[tuple[Any, ...]]:
    """Of a source that sends files one row, since a file's load does not say what is in it; else one per entity."""
    entities = contract.entities
    if contract.api is None:
        entities = [next((e for e in entities if e.kind == "sale_lines"), entities[0])]
    for entity in entities:
        yield (
            contract.source,
            contract.title,
            contract.owner,
            entity.entity if contract.api else None,
            TABLES[entity.kind],
            entity.kind in HAPPENS_DAILY,
            entity.warn_after_hours or contract.warn_after_hours,
            entity.error_after_hours or contract.error_after_hours,
        )
