"""
The catalogue's edge cases, run for real: given rows into empty copies of the core tables, the marts made from them by
their own selects, the metric by its own plan.

Comes in: metrics with their examples. Goes out: what each gave and whether that is what it says. Nothing is kept.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import cursor as PgCursor

from db.connection import connect
from panpan.errors import ContractError
from panpan.settings import Settings
from transforms.asof import CORE, marts_made, remade, remake_marts
from transforms.compiler import Query, compile_query, read_rows
from transforms.merge import select_text
from transforms.metrics import Example, Metric

TODAY = date(2026, 6, 15)  # what day it is in every example
GIVEN = "pg_temp.given_"
SOURCES = {"pos": "EUR", "pos_api": "EUR", "inventory": "EUR", "coffee_chain": "USD"}
_SALE = {"currency_code": "EUR", "business_date": "2026-05-04"}
_STOCK = {"source": "inventory", "store_id": "centro"}
# What an example does not say of a row, because it does not matter to it.
DEFAULTS: dict[str, dict[str, Any]] = {
    "sales": {
        **_SALE,
        "source": "pos",
        "event": "sale",
        "store_id": "centro",
        "channel": "store",
        "discount_amount": "0.00",
    },
    "sale_lines": {**_SALE, "quantity": "1"},
    "stock_levels": _STOCK,
    "stock_movements": {**_STOCK, "business_date": "2026-05-04", "moved_at": "2026-05-04T12:00:00+00:00"},
    "inventory": {"source": "inventory"},
    "products": {"kind": "product", "currency_code": "EUR"},
    "stores": {"time_zone": "Europe/Madrid"},
}


@dataclass(frozen=True)
class Outcome:
    """One example of one metric: the rows or value it should give, and those it gave."""

    metric: str
    says: str
    expected: Any
    found: Any
    is_met: bool


def run_examples(settings: Settings, metrics: Iterable[Metric]) -> list[Outcome]:
    """
    Every example of some metrics, each in a transaction of its own that is rolled back; as role transformer.

    Errors: ContractError for an example that names a table or column there is not.
    """
    return [_run(settings, metric, example) for metric in metrics for example in metric.examples]


def _run(settings: Settings, metric: Metric, example: Example) -> Outcome:
    asked = example.asked
    plan = compile_query(Query(metric.name, tuple(asked.by), asked.where, asked.period), TODAY)
    mart = plan.reading.mart
    with connect(settings, "transformer") as connection:
        with connection.cursor() as cursor:
            if f"marts.{mart}" in example.given:
                _fill(cursor, sql.Identifier("marts", mart), f"remade_{mart}", example.given[f"marts.{mart}"])
            else:
                _give(cursor, _core_tables(mart), example.given)
                remake_marts(connection, [mart], GIVEN, SOURCES)
        found = read_rows(connection, replace(plan, sql=remade(plan.sql)))
        connection.rollback()
    expected = example.gives
    if not isinstance(expected, list):
        shown: Any = found[0]["value"] if len(found) == 1 else found or None
        return Outcome(metric.name, example.says, expected, shown, _is_same(expected, shown))
    shown = [{name: row[name] for name in expected[0]} for row in found] if expected else found
    is_met = len(shown) == len(expected) and all(
        _is_same(wanted[name], row[name]) for wanted, row in zip(expected, shown, strict=False) for name in wanted
    )
    return Outcome(metric.name, example.says, expected, shown, is_met)


def _core_tables(mart: str) -> list[str]:
    """The core tables a mart is made from, directly or through others; and those that say what is affected."""
    texts = [select_text("marts", each) for each in marts_made([mart])]
    read = {name for text in texts for name in re.findall(r"\bcore\.(\w+)", text) if name in CORE}
    return sorted(read | {"sales", "stock_movements", "stock_levels"})


def _give(cursor: PgCursor, tables: Sequence[str], given: Mapping[str, list[dict[str, Any]]]) -> None:
    """Empty copies of core tables with the given rows; the stores and products they name come by themselves."""
    for name in given:
        if name not in tables:
            raise ContractError(f"an example gives rows of {name!r}", cause=f"known here: {', '.join(tables)}")
    rows = {name: [dict(row) for row in given.get(name, [])] for name in tables}
    for sale in rows["sales"]:
        sale.setdefault("gross_amount", sale.get("net_amount"))
    _complete(rows, "stores", "store_id", "store_name", default="centro")
    _complete(rows, "products", "product_id", "product_name")
    for name in tables:
        filled = [{**DEFAULTS.get(name, {}), **row} for row in rows[name]]
        _fill(cursor, sql.Identifier("core", name), f"given_{name}", filled)


def _complete(
    rows: dict[str, list[dict[str, Any]]], table: str, key: str, title: str, default: str | None = None
) -> None:
    """One row for each store or product any row names."""
    if table not in rows:
        return
    known = {row[key]: row for row in rows[table]}
    named = [row.get(key) for name, others in rows.items() if name != table for row in others]
    for name in dict.fromkeys([default, *named]):
        if name:
            known.setdefault(name, {key: name})
    for name, row in known.items():
        row.setdefault(title, name)
    rows[table] = list(known.values())


def _fill(cursor: PgCursor, like: sql.Identifier, name: str, rows: list[dict[str, Any]]) -> None:
    """A temporary table with the columns of another and these rows. Words stand for ids: Ana is always the same."""
    target = sql.Identifier(name)
    cursor.execute(sql.SQL("create temporary table {} on commit drop as select * from {} limit 0").format(target, like))
    cursor.execute(
        "select attname, format_type(atttypid, null) from pg_attribute where attrelid = %s::regclass and attnum > 0",
        (name,),
    )
    types = dict(cursor.fetchall())
    for row in rows:
        if unknown := sorted(set(row) - set(types)):
            raise ContractError(f"an example gives {', '.join(unknown)}", cause=f"columns: {', '.join(types)}")
    plain = [{column: _as_held(types[column], cell) for column, cell in row.items()} for row in rows]
    cursor.execute(
        sql.SQL("insert into {0} select * from jsonb_populate_recordset(null::{0}, %s)").format(target),
        (json.dumps(plain, default=lambda cell: cell.isoformat()),),
    )


def _as_held(kind: str, cell: Any) -> Any:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, cell)) if kind == "uuid" and cell is not None else cell


def _is_same(expected: Any, found: Any) -> bool:
    """Amounts are equal as numbers, everything else as it is written."""
    if expected is None or found is None:
        return expected is found
    if isinstance(found, datetime):
        return datetime.fromisoformat(str(expected)) == found
    try:
        return Decimal(str(expected)) == Decimal(str(found))
    except InvalidOperation:
        return str(expected) == str(found)
