"""
The receipts pages: a figure with the rows and records it is made of, and one record as it was received.

Comes in: a metric and period, a plan id, a receipt, a customer, a product, a stock count, a raw record. Goes out: what
the templates show, all texts. Personal values of a record are masked: a page may be left open.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from urllib.parse import urlencode

from psycopg2.extras import RealDictCursor
from pyarrow import parquet

from db.connection import connect
from metabase.answers import Answer
from metabase.compiled import plan_of, receipts_address
from metabase.formats import MISSING, write, write_moment, write_period
from metabase.parameters import Filters
from metabase.preview import Preview
from panpan.errors import UsageError
from panpan.local.workflows import read_workflows
from panpan.settings import Settings
from transforms.compiler import Plan, Query, compile_query, read_plan
from transforms.lineage import Document, RawRecord, read_record
from transforms.masking import mask_payload, mask_value
from transforms.metrics import find_metric
from transforms.periods import FIRST, LAST, business_today, spelled
from transforms.reconcile import COMPARISONS
from transforms.trace import CITED, Page, Trace, figure_of, trace, trace_figure

PAGE_ROWS = 50
MOST_FILES = 100
MOST_CHECKS = 5
# Links of cited rows, by what they are.
LINKS = {"receipt": "/receipts/sale/{}", "receipt line": "/receipts/sale/{}", "stock count": "/receipts/stock/{}"}
WORDS = {
    "receipt": "Receipts",
    "receipt line": "Receipt lines",
    "stock count": "Stock counts",
    "stock of a month": "Stock of months",
    "stock movement": "Stock movements",
}


@dataclass(frozen=True)
class Row:
    """One line of a table: its cells, and what its first cell leads to."""

    link: str | None
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table as texts; numeric: which columns stand to the right."""

    titles: tuple[str, ...]
    rows: tuple[Row, ...]
    numeric: tuple[bool, ...]


@dataclass(frozen=True)
class View:
    """What the page of a figure shows; is_equal says whether the receipts give the figure."""

    title: str
    question: str
    figure: str
    resummed: str
    is_equal: bool
    verdict: str
    facts: tuple[tuple[str, str], ...]
    parts: tuple[tuple[str, str], ...]
    cited: str
    cited_count: int
    rows: Table
    files: Table
    more_files: int
    records: Table
    record_count: int
    shown: str
    before: str | None
    after: str | None
    evolve: str | None = None
    compare: str | None = None


@dataclass(frozen=True)
class RecordView:
    """What the page of one raw record shows: as received and as typed, side by side, and where it came in."""

    title: str
    facts: tuple[tuple[str, str, str | None], ...]
    received: tuple[tuple[str, str, bool], ...]
    typed: tuple[tuple[str, str, bool], ...]
    typed_rows: int
    reject: str | None
    receipts: tuple[tuple[str, str], ...]
    masked: int


@dataclass(frozen=True)
class CardView:
    """What stands behind a card that shows no metric: its words, its marts, and the newest loads of its sources."""

    title: str
    question: str
    facts: tuple[tuple[str, str], ...]
    files: Table


# --- figures -------------------------------------------------------------------------------------------------


def metric_view(settings: Settings, metric: str, period: str, asked: Mapping[str, str], path: str) -> View:
    """The page of a metric's figure. Errors: UsageError for an unknown metric, period or filter."""
    where = {name: text for name, text in asked.items() if text and name != "page"}
    plan = compile_query(Query(metric, where=where, period=period), business_today(settings))
    return _figure_view(settings, plan, asked, path)


def thing_view(settings: Settings, kind: str, name: str, asked: Mapping[str, str], path: str) -> View:
    """The page of a plan, receipt, customer, product or stock count. Errors: UsageError when there is none."""
    if kind == "plan":
        return _figure_view(settings, read_plan(settings, name), asked, path)
    found = trace(settings, f"{kind}:{name}", business_today(settings), _page(asked))
    title = f"{found.title[:1].upper()}{found.title[1:]}".replace("_", " ")
    return _view(settings, found, title, asked, path, None)


def _figure_view(settings: Settings, plan: Plan, asked: Mapping[str, str], path: str) -> View:
    """The page of a figure, whoever asked for it, and where it leads on to."""
    found = trace_figure(settings, figure_of(plan), _page(asked))
    metric, where = plan.metric.name, plan.query.where
    is_all = plan.query.period == "all"
    chosen = "".join(f", {name} {text}" for name, text in where.items())
    when = "all days" if is_all else write_period(plan.first_day, plan.last_day)
    title = f"{metric.replace('_', ' ').capitalize()}, {when}{chosen}"
    link = None
    if plan.first_day == plan.last_day and plan.metric.receipt_expression:
        link = f"/evolve/{metric}/{plan.first_day}" + (f"?{urlencode(where)}" if where else "")
    period = "all" if is_all else spelled(plan.first_day, plan.last_day)
    view = _view(settings, found, title, asked, path, link)
    return replace(view, compare=f"/reconcile/{metric}/{period}" if metric in COMPARISONS else None)


def _page(asked: Mapping[str, str]) -> Page:
    text = asked.get("page") or "1"
    if not text.isdecimal() or not 1 <= int(text) <= 10**6:
        raise UsageError(f"{text!r} is no page", cause="expected 1, 2, 3 ...")
    return Page((int(text) - 1) * PAGE_ROWS, PAGE_ROWS)


def _view(
    settings: Settings, found: Trace, title: str, asked: Mapping[str, str], path: str, evolve: str | None
) -> View:
    kind = "money" if found.currency else "quantity"
    kinds = sorted({row["cited"] for row in found.rows})
    page = _page(asked)
    last = min(page.first + PAGE_ROWS, max(found.record_count, found.receipts))
    query = {name: text for name, text in asked.items() if name != "page"}

    def link(number: int) -> str:
        return f"{path}?{urlencode({**query, 'page': number})}"

    number = page.first // PAGE_ROWS + 1
    return View(
        title=title,
        question=found.metric.question if found.metric else "",
        figure=_amount(found.value, kind, found.currency),
        resummed=_amount(found.resummed, kind, found.currency),
        is_equal=found.is_equal,
        verdict=_verdict(found, kind),
        facts=_facts(settings, found),
        parts=tuple((_words(name), _part(name, value, found.currency)) for name, value in found.parts.items()),
        cited=" and ".join(WORDS.get(each, each) for each in kinds) or "Rows",
        cited_count=found.receipts,
        rows=_rows_table(found),
        files=_files_table(settings, found.documents[:MOST_FILES]),
        more_files=max(0, len(found.documents) - MOST_FILES),
        records=_records_table(settings, found),
        record_count=found.record_count,
        shown=f"{page.first + 1:,} to {last:,}",
        before=link(number - 1) if page.first else None,
        after=link(number + 1) if page.first + PAGE_ROWS < max(found.record_count, found.receipts) else None,
        evolve=evolve,
    )


def _verdict(found: Trace, kind: str) -> str:
    if found.is_equal:
        return (
            f"Worked out again from {found.record_count:,} received records: "
            f"{_amount(found.resummed, kind, found.currency)}. That is the figure, exactly."
        )
    return (
        f"The records below give {_amount(found.resummed, kind, found.currency)}, not "
        f"{_amount(found.value, kind, found.currency)}. Don't rely on this figure: run bin/panpan transform rebuild "
        "--compare, or ask whoever answers for it."
    )


def _facts(settings: Settings, found: Trace) -> tuple[tuple[str, str], ...]:
    facts: list[tuple[str, str]] = []
    if found.metric:
        metric = found.metric
        facts += [
            ("What it means", metric.definition),
            ("Responsible", metric.owner),
            ("System of record", metric.system_of_record),
            ("Version of the definition", str(metric.version)),
        ]
    if found.plan_id:
        facts.append(("Plan", found.plan_id))
    facts += [(f"Data of {title}", f"known up to {until}, {state}") for title, until, state in _fresh(settings, found)]
    return (*facts, *_checks(settings))


def _fresh(settings: Settings, found: Trace) -> list[tuple[str, str, str]]:
    """Until when each source behind the figure is known, and whether that is within its agreed hours."""
    with connect(settings, "bi") as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            select title, least(last_record_at, last_load_at), case
                when now() - least(last_record_at, last_load_at) > error_after_hours * interval '1 hour' then 'silent'
                when now() - least(last_record_at, last_load_at) > warn_after_hours * interval '1 hour' then 'late'
                else 'fresh'
            end
            from marts.data_freshness where source = any(%s) order by title
            """,
            (found.sources,),
        )
        return [(title, write_moment(until) if until else MISSING, state) for title, until, state in cursor.fetchall()]


def _checks(settings: Settings) -> list[tuple[str, str]]:
    """What the checks found last: how many there are, and those that fail, the serious ones first."""
    with connect(settings, "web") as connection, connection.cursor() as cursor:
        cursor.execute(
            "select count(*), count(*) filter (where state = 'failed'), max(checked_at) from marts.check_results"
        )
        [(known, failed, checked_at)] = cursor.fetchall()
        cursor.execute(
            """
            select meaning, severity from marts.check_results where state = 'failed'
            order by severity = 'warn', check_id limit %s
            """,
            (MOST_CHECKS,),
        )
        failing = [f"{meaning} ({severity})" for meaning, severity in cursor.fetchall()]
    if not known:
        return [("Checks", "not made yet; see bin/panpan quality run")]
    said = f"{known} made {write_moment(checked_at)}; {failed or 'none'} failing"
    return [("Checks", said), *(("Check that fails", text) for text in failing)]


def _rows_table(found: Trace) -> Table:
    names = [name for name in (found.rows[0] if found.rows else {}) if name not in (*CITED, "raw_id")]
    rows = tuple(
        Row(
            LINKS[row["cited"]].format(row["cited_id"]) if row["cited"] in LINKS else None,
            (row["cited_name"], *(_part(name, row[name], found.currency) for name in names)),
        )
        for row in found.rows
    )
    numeric = (False, *(all(isinstance(r[n], int | Decimal | None) for r in found.rows) for n in names))
    return Table(("What", *map(_words, names)), rows, numeric)


def _files_table(settings: Settings, documents: list[Document]) -> Table:
    rows = tuple(
        Row(
            execution_link(settings, each),
            (each.file, each.source, write_moment(each.received_at), f"{each.records:,}", _execution(each)),
        )
        for each in documents
    )
    titles = ("File or request", "Source", "Received", "Records", "n8n execution")
    return Table(titles, rows, (False, False, False, True, False))


def _records_table(settings: Settings, found: Trace) -> Table:
    del settings
    rows = tuple(
        Row(
            f"/receipts/raw/{record['raw_id']}",
            (str(record["raw_id"]), record["file"], f"{record['line']:,}", record["source"], str(record["load_id"])),
        )
        for record in found.records
    )
    return Table(("Record", "File or request", "Line", "Source", "Load"), rows, (False, False, True, False, True))


def execution_link(settings: Settings, document: Document) -> str | None:
    """Address of the n8n execution that delivered a document; None where no workflow of ours did."""
    workflow = _workflow_ids().get(document.workflow or "")
    if not workflow or not document.execution_id:
        return None
    address = f"http://{settings.n8n_host}:{settings.n8n_port}"
    return f"{address}/workflow/{workflow}/executions/{document.execution_id}"


@cache
def _workflow_ids() -> dict[str, str]:
    return {workflow.content["name"]: workflow.workflow_id for workflow in read_workflows()}


def _execution(document: Document) -> str:
    if not document.execution_id:
        return MISSING
    return f"{document.workflow} {document.execution_id}"


def _words(name: str) -> str:
    return name.removesuffix("_id").replace("_", " ").capitalize()


def _part(name: str, value: Any, currency: str | None) -> str:
    if value is None:
        return MISSING
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return _amount(value, "money" if re.search(r"amount|value|cost|price", name) else "quantity", currency)
    return write(value, "date") if isinstance(value, date) else str(value)


def _amount(value: Any, kind: str, currency: str | None) -> str:
    return write(value, kind, currency) if isinstance(value, int | Decimal | None) else str(value)


# --- one record ----------------------------------------------------------------------------------------------


def raw_view(settings: Settings, raw_id: str) -> RecordView:
    """The page of one raw record. Errors: UsageError when there is none."""
    if not raw_id.isdecimal() or len(raw_id) > 18:
        raise UsageError(f"{raw_id!r} is no raw record", cause="expected its number")
    with connect(settings, "web") as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        record = read_record(connection, settings, int(raw_id))
        cursor.execute(
            "select reason, column_name, resolved_at from ops.rejects where raw_id = %s order by reject_id desc",
            (record.raw_id,),
        )
        rejects = cursor.fetchall()
        cursor.execute(
            """
            select distinct sale.sale_id::text, sale.source || ' ' || sale.receipt_number as name
            from core.sale_lines as line inner join core.sales as sale using (sale_id)
            where line.raw_id = %s order by name
            """,
            (record.raw_id,),
        )
        receipts = tuple((f"/receipts/sale/{row['sale_id']}", row["name"]) for row in cursor.fetchall())
    place = (record.document.source, record.entity.entity)
    shown = mask_payload(*place, record.payload, settings.own_contracts)
    received = tuple(
        _shown(name, value, masked)
        for (name, value), (_, masked) in zip(_flat(record.payload), _flat(shown), strict=True)
    )
    typed_rows = _typed_rows(settings, record)
    typed = tuple(
        _shown(
            f"{name} ({number})" if len(typed_rows) > 1 else name,
            value,
            mask_value(*place, name, value, settings.own_contracts),
        )
        for number, row in enumerate(typed_rows, start=1)
        for name, value in row.items()
        if value is not None and name not in ("raw_id", "load_id", "document_id")
    )
    open_rejects = [row for row in rejects if row["resolved_at"] is None]
    return RecordView(
        title=f"Record {record.raw_id}",
        facts=_record_facts(settings, record),
        received=received,
        typed=typed,
        typed_rows=len(typed_rows),
        reject=open_rejects[0]["reason"] if open_rejects else None,
        receipts=receipts,
        masked=sum(masked for _, _, masked in (*received, *typed)),
    )


def _record_facts(settings: Settings, record: RawRecord) -> tuple[tuple[str, str, str | None], ...]:
    document = record.document
    place = "Line" if document.entity is None else "Place in the response"
    return (
        ("Source", document.source, None),
        ("File" if document.entity is None else "Request", document.file, None),
        (place, f"{record.line:,}", None),
        ("Kind of record", record.entity.entity.replace("_", " "), None),
        ("Received", write_moment(document.received_at), None),
        ("Load", str(document.load_id), None),
        ("n8n execution", _execution(document), execution_link(settings, document)),
    )


def _flat(value: Any, path: str = "") -> list[tuple[str, str]]:
    """A payload's values with their paths, in the order received: `line_items.0.name`."""
    if isinstance(value, Mapping):
        return [pair for name, inner in value.items() for pair in _flat(inner, f"{path}.{name}" if path else name)]
    if isinstance(value, list):
        return [pair for place, inner in enumerate(value) for pair in _flat(inner, f"{path}.{place}")]
    return [(path, "" if value is None else str(value))]


def _typed_rows(settings: Settings, record: RawRecord) -> list[dict[str, Any]]:
    """The rows the record gave in the typed file of its load: several where it holds a list."""
    document = record.document
    folder = settings.formatted / document.source / record.entity.entity
    file = folder / f"load_{document.load_id}.parquet"
    if not file.is_file():
        return []
    rows: list[dict[str, Any]] = parquet.read_table(file, filters=[("raw_id", "=", record.raw_id)]).to_pylist()
    return rows


def _shown(name: str, value: Any, masked: Any) -> tuple[str, str, bool]:
    """Name, text as the page shows it, and whether something of it is hidden."""
    return name, "" if masked is None else str(masked), masked != value


# --- cards ---------------------------------------------------------------------------------------------------


def clicked_address(preview: Preview, name: str, filters: Filters, asked: Mapping[str, str]) -> str | None:
    """
    The receipts of the one figure that was clicked in Metabase, which names it by the columns of its row; None when it
    did not. Metabase writes days as moments: only their day counts.
    """
    answer = preview.question(name, filters).card.answer
    question = answer.question
    if question.cells is None or question.metric is None:
        return None
    columns = [question.cells.name(dimension) for dimension in question.cells.by]
    clicked = {column: asked[column] for column in columns if asked.get(column)}
    plan = plan_of(question.metric, question.cells, answer.records(), filters.source)
    if not clicked or plan is None:
        return None
    for row in answer.records():
        if all(_is_clicked(row[column], text) for column, text in clicked.items()):
            return receipts_address(plan, question.cells, row)
    return None


def _is_clicked(value: Any, text: str) -> bool:
    return text[:10] == value.isoformat() if isinstance(value, date) else text == str(value)


def card_address(preview: Preview, name: str, filters: Filters) -> str | None:
    """Where the figure of a card leads: the page of its metric for the days and filters the card shows."""
    view = preview.question(name, filters)
    question, answer = view.card.question, view.card.answer
    if not question.metric:
        return None
    known = find_metric(question.metric).dimensions
    given = {"source": view.filters.source, "currency": view.filters.currency}
    asked = [name for name in question.parameters if given.get(name) and name in known]
    where = {name: str(given[name]) for name in asked}
    period = _card_period(answer) if "day" in known else "all"
    return f"/receipts/metric/{question.metric}/{period}" + (f"?{urlencode(where)}" if where else "")


def _card_period(answer: Answer) -> str:
    """The days a card is about: those its rows speak of, a month to its end; else those asked for, else all."""
    days = [
        day
        for column in answer.question.columns
        if column.format in ("date", "month") and column.name in answer.columns
        for first in answer.values(column.name)
        if isinstance(first, date)
        for day in ((first, _month_end(first)) if column.format == "month" else (first,))
    ]
    asked = answer.filters
    if days:
        return spelled(min(days), max(days))
    if asked.date_from or asked.date_to:
        return spelled(asked.date_from or FIRST, asked.date_to or LAST)
    return "all"


def _month_end(first: date) -> date:
    return (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


def card_view(settings: Settings, preview: Preview, name: str, filters: Filters) -> CardView:
    """The page of a card without a metric. Errors: UnknownPage."""
    card = preview.question(name, filters).card
    sources = [source.source for source in card.sources]
    with connect(settings, "web") as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            """
            select load_id, source, coalesce(file_name, entity) as file, entity, received_at, workflow, execution_id,
                coalesce(row_count, 0) as records
            from ops.loads where source = any(%s) and status = 'loaded' order by load_id desc limit %s
            """,
            (sources, PAGE_ROWS),
        )
        loads = [Document(document_id=0, system="", **row) for row in cursor.fetchall()]
    question = card.question
    facts = (
        ("What it means", question.definition),
        ("Responsible", question.owner),
        ("System of record", question.system_of_record),
        ("Reads", ", ".join(question.reads)),
    )
    return CardView(question.title, question.question, facts, _files_table(settings, loads))
