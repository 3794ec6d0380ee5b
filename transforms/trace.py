"""
From a figure or a receipt back to its raw records: file and line or API response, load, n8n execution.

Comes in: `sale:ID`, `sale:SOURCE/RECEIPT`, `metric:NAME/DAY[/store=S]`, `plan:ID`. Goes out: the value, the value
summed again from the cited receipts, and the records.
"""

from __future__ import annotations

import csv
import io
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection
from psycopg2.extras import RealDictCursor

from db.connection import connect
from panpan.errors import UsageError
from panpan.settings import Settings
from transforms.compiler import Plan, Query, compile_query, evaluate, read_plan
from transforms.contract import load_contracts
from transforms.intake import RAW_IDS_PER_DOCUMENT
from transforms.metrics import CURRENCY

COLUMNS = {"store": "store_id", "source": "source", "channel": "channel", "currency": "currency_code"}


@dataclass(frozen=True)
class Trace:
    """A figure and its receipts. value and resummed must be equal; records: one per raw record, key raw_id."""

    value: Decimal | None
    resummed: Decimal | None
    plan_id: str | None
    receipts: int
    records: list[dict[str, Any]]

    @property
    def is_equal(self) -> bool:
        return self.value == self.resummed


def trace(settings: Settings, what: str, today: date) -> Trace:
    """
    Follow something back to what was received.

    Errors: UsageError when the form is not known or nothing is found.
    """
    kind, _, name = what.partition(":")
    if kind == "sale":
        return _trace_sale(settings, name)
    if kind == "metric":
        return _trace_metric(settings, compile_query(_spelled_metric(name), today))
    if kind == "plan":
        return _trace_metric(settings, read_plan(settings, name))
    raise UsageError(
        f"{what!r} can't be traced",
        cause="known forms: sale:ID, sale:SOURCE/RECEIPT, metric:revenue/2026-05-31/store=centro, plan:ID",
    )


def _spelled_metric(name: str) -> Query:
    metric, *parts = name.split("/")
    where = {key: text for key, _, text in (part.partition("=") for part in parts[1:])}
    if not parts or set(where) - set(COLUMNS):
        raise UsageError(f"metric:{name} can't be traced", cause="expected metric:revenue/2026-05-31/store=centro")
    return Query(metric, where=where, period=parts[0])


def _trace_sale(settings: Settings, name: str) -> Trace:
    source, slash, receipt = name.partition("/")
    condition = "sale_id = %(id)s"
    if slash:
        condition = "source = %(source)s and receipt_number = %(receipt)s"
    elif not _is_uuid(name):
        raise UsageError(f"{name!r} is no sale", cause="expected its id, or SOURCE/RECEIPT")
    parameters = {"id": name, "source": source, "receipt": receipt}
    with connect(settings, "transformer") as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            sql.SQL("select sale_id, source, net_amount from core.sales where {}").format(sql.SQL(condition)),
            parameters,
        )
        found = cursor.fetchall()
        if not found:
            raise UsageError(f"there is no sale {name!r}", next="look it up with panpan value or in core.sales")
        [sale] = found
        cursor.execute(
            "select raw_id, net_amount from core.sale_lines where sale_id = %s order by line_number", (sale["sale_id"],)
        )
        lines = cursor.fetchall()
        records = describe_records(connection, settings, {sale["source"]: [line["raw_id"] for line in lines]})
    amounts = [line["net_amount"] for line in lines]
    resummed = None if None in amounts else sum(amounts, Decimal(0))
    return Trace(sale["net_amount"], resummed, None, 1, records)


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _trace_metric(settings: Settings, plan: Plan) -> Trace:
    """The receipts of a plan; split or not, they are those of all its rows together."""
    metric, where, moment = plan.metric, plan.query.where, plan.query.as_of
    unknown = [name for name in where if name not in COLUMNS]
    if metric.receipt_expression is None or unknown:
        raise UsageError(
            f"{metric.name}{f' by {unknown[0]}' if unknown else ''} is not made of whole receipts",
            cause="only metrics that add up over receipts can be traced",
        )
    answer = evaluate(settings, plan)
    if len({row.get(CURRENCY) for row in answer.rows}) > 1:
        raise UsageError(
            f"{metric.name} of {plan.query.period} is in several currencies",
            cause=", ".join(f"{row[CURRENCY]} {row['value']}" for row in answer.rows),
            next="add source=NAME",
        )
    statement = sql.SQL(
        """
        select sale_id, source, {expression} as amount
        from {sales}
        where business_date between %(first)s and %(last)s and {expression} is not null {filters}
        """
    ).format(
        expression=sql.SQL(f"({metric.receipt_expression})"),
        sales=sql.Identifier("core_asof" if moment else "core", "sales"),
        filters=sql.SQL(" ").join(
            sql.SQL("and coalesce({}, 'unknown') = {}").format(sql.Identifier(COLUMNS[name]), sql.Placeholder(name))
            for name in where
        ),
    )
    with connect(settings, "transformer") as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute("select set_config('panpan.as_of', %s, true)", (moment.isoformat() if moment else "",))
        cursor.execute(
            sql.SQL("create temporary table cited on commit drop as ") + statement,
            {"first": plan.first_day, "last": plan.last_day, **where},
        )
        cursor.execute("select count(*)::integer as receipts, sum(amount) as amount from cited")
        [figure] = cursor.fetchall()
        cursor.execute(
            sql.SQL("select cited.source, line.raw_id from cited inner join {} as line using (sale_id)").format(
                sql.Identifier("core_asof" if moment else "core", "sale_lines")
            )
        )
        by_source: dict[str, list[int]] = defaultdict(list)
        for row in cursor.fetchall():
            by_source[row["source"]].append(row["raw_id"])
        records = describe_records(connection, settings, by_source)
    values = [row["value"] for row in answer.rows if row["value"] is not None]
    return Trace(sum(values, Decimal(0)), figure["amount"], plan.plan_id, figure["receipts"], records)


def describe_records(
    connection: PgConnection, settings: Settings, raw_ids: Mapping[str, Iterable[int]]
) -> list[dict[str, Any]]:
    """
    Where raw records came from: raw_id, load_id, source, file (or request), line, execution_id; in raw_id order.

    line: the line of the file; for a response the place of the record in it.
    """
    systems = {source: contract.system for source, contract in load_contracts(settings.own_contracts).items()}
    records = []
    for source, ids in raw_ids.items():
        positions: dict[int, list[int]] = defaultdict(list)
        for each in sorted(set(ids)):
            positions[each // RAW_IDS_PER_DOCUMENT].append(each % RAW_IDS_PER_DOCUMENT)
        table = sql.Identifier(f"raw_{systems[source]}", "documents")
        with connection.cursor() as cursor:
            cursor.execute(
                sql.SQL(
                    """
                    select document.document_id, document.load_id, document.name, load.execution_id, document.entity
                    from {} as document inner join ops.loads as load using (load_id)
                    where document_id = any(%s)
                    """
                ).format(table),
                (list(positions),),
            )
            documents = {row[0]: row for row in cursor.fetchall()}
        for document_id, places in positions.items():
            _, load_id, name, execution_id, entity = documents[document_id]
            lines = places if entity else file_lines(connection, settings, table, document_id, places)
            records += [
                {
                    "raw_id": document_id * RAW_IDS_PER_DOCUMENT + place,
                    "load_id": load_id,
                    "source": source,
                    "file": name,
                    "line": line,
                    "execution_id": execution_id,
                }
                for place, line in zip(places, lines, strict=True)
            ]
    return sorted(records, key=lambda record: record["raw_id"])


def file_lines(
    connection: PgConnection, settings: Settings, table: sql.Identifier, document_id: int, places: list[int]
) -> list[int]:
    """The lines on which records of a file begin: counted, since a quoted cell may hold line ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("select content, stored_path from {} where document_id = %s").format(table), (document_id,)
        )
        [(content, stored_path)] = cursor.fetchall()
    data = bytes(content) if content is not None else None
    if data is not None and data.count(b'"') == 0:
        return [place + 1 for place in places]  # after the header
    stream = io.BytesIO(data) if data is not None else (settings.home / stored_path).open("rb")
    with stream, io.TextIOWrapper(stream, encoding="latin-1", newline="") as text:  # only line ends and quotes matter
        reader = csv.reader(text)
        wanted, begins, begin = set(places), {}, 1
        for place, row in enumerate(_filled(reader), start=0):
            if place in wanted:
                begins[place] = begin
                if len(begins) == len(wanted):
                    break
            begin = reader.line_num + 1
            del row
    return [begins.get(place, place + 1) for place in places]


def _filled(rows: Iterable[list[str]]) -> Iterable[list[str]]:
    """Rows that hold something: the splitter passes over empty lines too."""
    return (row for row in rows if row)
