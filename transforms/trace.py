"""
From a figure, a receipt, a customer, a product or a stock count back to the raw records it is made of.

Comes in: `metric:NAME/PERIOD[/store=S ...]`, `plan:ID`, `sale:ID`, `sale:SOURCE/RECEIPT`, `customer:ID`, `product:ID`,
`stock:PRODUCT/STORE`. Goes out: the figure the mart says, the same worked out again from the rows of core it cites,
and their records.

How: receipts/<mart>.sql gives the rows of core behind a mart under the mart's own names. The metric's own statement is
then asked of these rows instead of the mart, so that every metric over such a mart can be traced, ratios too.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection
from psycopg2.extras import RealDictCursor

from db.connection import connect
from panpan.errors import UsageError
from panpan.settings import Settings
from transforms.compiler import Plan, Query, compile_query, evaluate, read_plan
from transforms.contract import load_contracts
from transforms.lineage import Document, describe, documents_of
from transforms.metrics import CURRENCY, Metric
from transforms.periods import FIRST, LAST

FOLDER = Path(__file__).parent / "receipts"
FORMS = (
    "metric:revenue/2026-05/store=centro, plan:ID, sale:ID, sale:SOURCE/RECEIPT, customer:ID, product:ID, "
    "stock:PRODUCT/STORE"
)
# Marts whose figures are no sum over records, and why.
NO_RECEIPTS = {
    "data_freshness": "it is a moment from the load log, not made of records; see panpan ingest status",
}
CITED = ("cited", "cited_id", "cited_name", "raw_ids")
ROWS_SHOWN = 20
# A statement that only adds: a row that adds nothing can be left out of it. A smallest value may well be zero.
ADDS_UP = re.compile(r"^(?!.*\b(min|max|avg)\().*\b(sum|count)\(", re.DOTALL)
# Sorts and groups of a month are done in memory, and not compiled first.
ROOM = "set local work_mem = '128MB'; set local jit = off"
BOOLEAN, NUMBERS = 16, (20, 21, 23, 1700)  # the server's type numbers


@dataclass(frozen=True)
class Figure:
    """What is traced: one statement over one mart, giving `value` (and currency_code for amounts)."""

    title: str
    mart: str
    statement: str
    parameters: Mapping[str, Any]
    days: tuple[date, date]
    plan: Plan | None = None
    as_of: datetime | None = None

    @property
    def selected(self) -> str:
        """What the statement selects."""
        return self.statement.partition("\nfrom ")[0]

    @property
    def condition(self) -> str:
        """The statement's own condition, a line of its own."""
        return next((line for line in self.statement.splitlines() if line.startswith("where ")), "")


@dataclass(frozen=True)
class Page:
    """Which of the records and cited rows to give: there may be very many."""

    first: int = 0
    count: int | None = None


@dataclass(frozen=True)
class Trace:
    """
    A figure and what it stands on; value and resummed must be equal.

    receipts: how many rows of core are cited, rows: those of the page, each with what it adds (parts).
    parts: the columns the figure is worked out from, summed where they are numbers: of a ratio both sides.
    records: raw records of the page, one row each, key raw_id; documents: all of them, by file or response.
    """

    value: Any
    resummed: Any
    plan_id: str | None
    receipts: int
    records: list[dict[str, Any]]
    record_count: int = 0
    title: str = ""
    currency: str | None = None
    plan: Plan | None = None
    parts: dict[str, Decimal] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)

    @property
    def is_equal(self) -> bool:
        return bool(self.value == self.resummed)

    @property
    def metric(self) -> Metric | None:
        return self.plan.metric if self.plan else None

    @property
    def sources(self) -> list[str]:
        return sorted({document.source for document in self.documents})


def trace(settings: Settings, what: str, today: date, page: Page = Page()) -> Trace:
    """
    Follow something back to what was received.

    Errors: UsageError when the form is not known, nothing is found, or the figure is not made of records.
    """
    kind, _, name = what.partition(":")
    if kind == "sale":
        return _trace_sale(settings, name, page)
    return trace_figure(settings, find_figure(settings, kind, name, today), page)


def find_figure(settings: Settings, kind: str, name: str, today: date) -> Figure:
    """The figure something asked for means. Errors: UsageError naming the known forms."""
    if kind == "metric":
        return figure_of(compile_query(spelled_query(name), today))
    if kind == "plan":
        return figure_of(read_plan(settings, name))
    if kind in ("customer", "product") and _is_uuid(name):
        return _thing_figure(kind, {f"{kind}_id": name})
    product, _, store = name.partition("/")
    if kind == "stock" and store and _is_uuid(product):
        return _thing_figure(kind, {"product_id": product, "store_id": store})
    raise UsageError(f"{kind}:{name} can't be traced", cause=f"known forms: {FORMS}")


def spelled_query(name: str) -> Query:
    """A query from its short form, revenue/2026-05/store=centro. Errors: UsageError."""
    metric, *parts = name.split("/")
    where = {key: text for key, _, text in (part.partition("=") for part in parts[1:])}
    if not parts or not all(where.values()):
        raise UsageError(f"metric:{name} can't be traced", cause="expected metric:revenue/2026-05-31/store=centro")
    return Query(metric, where=where, period=parts[0])


def figure_of(plan: Plan) -> Figure:
    """
    The whole of what a plan asks, not split by anything and not compared.

    Errors: UsageError where no rows of core stand behind the metric's mart, saying why.
    """
    query = plan.query
    whole = compile_query(Query(query.metric, where=query.where, period=query.period, as_of=query.as_of), plan.asked_on)
    [mart] = set(re.findall(r"\bfrom marts\.(\w+)", whole.sql))
    if mart in NO_RECEIPTS or not (FOLDER / f"{mart}.sql").is_file():
        raise UsageError(
            f"{query.metric} has no receipts",
            cause=NO_RECEIPTS.get(mart, f"marts.{mart} is not made of single records of core"),
        )
    return Figure(query.metric, mart, whole.sql, whole.parameters, (plan.first_day, plan.last_day), whole, query.as_of)


THINGS = {
    "customer": ("daily_customers", "sum(ticket_count)", "purchases of customer"),
    "product": ("daily_product_sales", "sum(quantity)", "quantity sold of product"),
    "stock": ("inventory_status", "sum(on_hand_quantity)", "stock on hand of"),
}


def _thing_figure(kind: str, keys: Mapping[str, str]) -> Figure:
    mart, expression, words = THINGS[kind]
    condition = " and ".join(f"{name}::text = %({name})s" for name in keys)
    statement = f"select {expression} as value\nfrom marts.{mart}\nwhere {condition}"
    return Figure(f"{words} {'/'.join(keys.values())}", mart, statement, keys, (FIRST, LAST))


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


# --- a figure ------------------------------------------------------------------------------------------------


def trace_figure(settings: Settings, figure: Figure, page: Page) -> Trace:
    """The rows of core behind a figure, the figure worked out from them, and their raw records."""
    said = _only_row(figure.title, _said(settings, figure))
    with cited_rows(settings, figure) as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        statement = re.sub(rf"\bmarts\.{figure.mart}\b", "pg_temp.cited", figure.statement)
        cursor.execute(statement, figure.parameters)
        again = _only_row(figure.title, [dict(row) for row in cursor.fetchall()])
        names = _parts_of(cursor, figure)
        _leave_out_what_adds_nothing(cursor, figure, names)
        cursor.execute(
            """
            create temporary table cited_records on commit drop as
            select distinct unnest(raw_ids) as raw_id from cited;
            analyze cited_records
            """
        )
        cursor.execute("select count(*)::integer as number from cited")
        [counted] = cursor.fetchall()
        parts = _totals(cursor, figure, names)
        rows = _page_of_rows(cursor, names, page)
        documents = documents_of(connection, "cited_records")
        cursor.execute("select raw_id from cited_records order by raw_id offset %s limit %s", (page.first, page.count))
        raw_ids = [row["raw_id"] for row in cursor.fetchall()]
        records = describe(connection, settings, raw_ids, documents)
    value = said.get("value")
    resummed = again.get("value")
    return Trace(
        value=value,
        resummed=resummed,
        plan_id=figure.plan.plan_id if figure.plan else None,
        receipts=counted["number"],
        records=records,
        record_count=sum(document.records for document in documents),
        title=figure.title,
        currency=said.get(CURRENCY) or again.get(CURRENCY),
        plan=figure.plan,
        parts=parts,
        rows=rows,
        documents=documents,
    )


def _said(settings: Settings, figure: Figure) -> list[dict[str, Any]]:
    if figure.plan:
        return evaluate(settings, figure.plan).rows
    with connect(settings, "bi") as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(figure.statement, figure.parameters)
        return [dict(row) for row in cursor.fetchall()]


def _only_row(title: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    known = [row for row in rows if row["value"] is not None]
    if len(known) > 1:
        found = ", ".join(f"{row[CURRENCY]} {row['value']}" for row in known)
        raise UsageError(f"{title} is in several currencies", cause=found, next="add currency=CODE or source=NAME")
    return known[0] if known else {}


@contextmanager
def cited_rows(settings: Settings, figure: Figure) -> Iterator[PgConnection]:
    """A transaction in which the temporary table cited holds the rows of core behind a figure."""
    parameters = {
        **figure.parameters,
        "first_day": figure.days[0],
        "last_day": figure.days[1],
        "currencies": json.dumps(
            {name: contract.currency_code for name, contract in load_contracts(settings.own_contracts).items()}
        ),
        "with_use": "days_of_cover" in figure.statement,
    }
    condition = re.sub(rf"\bmarts\.{figure.mart}\b", "evidence", figure.condition)
    text = receipts_text(figure.mart)
    with connect(settings, "web") as connection, connection.cursor() as cursor:
        if figure.as_of:
            text = re.sub(r"\bcore\.(?!key\b)", "core_asof.", text)
            cursor.execute("select set_config('panpan.as_of', %s, true)", (figure.as_of.isoformat(),))
        cursor.execute(ROOM)
        cursor.execute(
            f"create temporary table cited on commit drop as with evidence as ({text}) "  # noqa: S608  # our own texts
            f"select * from evidence {condition}",
            parameters,
        )
        cursor.execute("analyze cited")
        yield connection


@cache
def receipts_text(mart: str) -> str:
    """The select of the rows of core behind a mart, read once."""
    return (FOLDER / f"{mart}.sql").read_text(encoding="utf-8")


def _parts_of(cursor: Any, figure: Figure) -> list[str]:
    """The columns of the cited rows the figure is worked out from, in the order the statement names them."""
    cursor.execute("select * from cited limit 0")
    columns = {column.name for column in cursor.description} - set(CITED) - {CURRENCY}
    return [name for name in dict.fromkeys(re.findall(r"\w+", figure.selected)) if name in columns]


def _leave_out_what_adds_nothing(cursor: Any, figure: Figure, names: Sequence[str]) -> None:
    """Of a sum or a count of some rows, rows with nothing to add are no receipts: a sale is none of the refunds."""
    types = _types(cursor)
    if not names or not set(names) <= set(types) or not ADDS_UP.search(figure.selected):
        return
    tests = [
        sql.SQL("{} is true" if types[name] == BOOLEAN else "coalesce({}, 0) <> 0").format(sql.Identifier(name))
        for name in names
    ]
    cursor.execute(sql.SQL("delete from cited where not ({})").format(sql.SQL(" or ").join(tests)))


def _types(cursor: Any) -> dict[str, int]:
    """The columns of the cited rows that are numbers or truth values, with their types."""
    cursor.execute("select * from cited limit 0")
    return {column.name: column.type_code for column in cursor.description if column.type_code in (BOOLEAN, *NUMBERS)}


def _totals(cursor: Any, figure: Figure, names: Sequence[str]) -> dict[str, Decimal]:
    """Sums of the parts that are numbers, where the figure is made by adding."""
    types = _types(cursor) if ADDS_UP.search(figure.selected) else {}
    added = [name for name in names if types.get(name) in NUMBERS and not name.startswith("unit_")]
    if not added:
        return {}
    cursor.execute(
        sql.SQL("select {} from cited").format(
            sql.SQL(", ").join(sql.SQL("sum({0}) as {0}").format(sql.Identifier(name)) for name in added)
        )
    )
    [row] = cursor.fetchall()
    return {name: row[name] for name in added}


def _page_of_rows(cursor: Any, names: Sequence[str], page: Page) -> list[dict[str, Any]]:
    columns = sql.SQL(", ").join(map(sql.Identifier, ["cited", "cited_id", "cited_name", *names]))
    cursor.execute(
        sql.SQL("select {} from cited order by raw_ids, cited_id offset %s limit %s").format(columns),
        (page.first, page.count or ROWS_SHOWN),
    )
    return [dict(row) for row in cursor.fetchall()]


# --- a receipt -----------------------------------------------------------------------------------------------


def _trace_sale(settings: Settings, name: str, page: Page) -> Trace:
    source, slash, receipt = name.partition("/")
    condition = "source = %(source)s and receipt_number = %(receipt)s" if slash else "sale_id = %(id)s"
    if not slash and not _is_uuid(name):
        raise UsageError(f"{name!r} is no sale", cause="expected its id, or SOURCE/RECEIPT")
    with connect(settings, "web") as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            sql.SQL(
                "select sale_id, source, receipt_number, net_amount, currency_code from core.sales where {}"
            ).format(sql.SQL(condition)),
            {"id": name, "source": source, "receipt": receipt},
        )
        found = cursor.fetchall()
        if not found:
            raise UsageError(f"there is no sale {name!r}", next="look it up with panpan value or in core.sales")
        [sale] = found
        cursor.execute(
            """
            create temporary table cited_records on commit drop as
            select distinct raw_id from core.sale_lines where sale_id = %s
            """,
            (sale["sale_id"],),
        )
        cursor.execute(
            """
            select 'receipt line' as cited, sale_id::text as cited_id, product_name as cited_name,
                quantity, gross_amount, discount_amount, net_amount, tax_amount, raw_id
            from core.sale_lines where sale_id = %s order by line_number
            """,
            (sale["sale_id"],),
        )
        rows = [dict(row) for row in cursor.fetchall()]
        documents = documents_of(connection, "cited_records")
        raw_ids = sorted({row["raw_id"] for row in rows})
        records = describe(connection, settings, raw_ids, documents)
    amounts = [row["net_amount"] for row in rows]
    resummed = None if None in amounts else sum(amounts, Decimal(0))
    return Trace(
        value=sale["net_amount"],
        resummed=resummed,
        plan_id=None,
        receipts=1,
        records=records[page.first :][: page.count],
        record_count=len(records),
        title=f"receipt {sale['receipt_number']}",
        currency=sale[CURRENCY],
        parts={"net_amount": resummed} if resummed is not None else {},
        rows=rows,
        documents=documents,
    )
