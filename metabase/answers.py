"""
Questions asked of the marts, as role bi, all of one page in one read-only snapshot.

Comes in: questions, filters, settings. Goes out: answers (columns and rows as PostgreSQL gave them) and the
state of the data they were taken from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ
from psycopg2.extensions import connection as PgConnection  # the driver's own name is too plain

from db.connection import connect
from metabase.catalogue import Question
from metabase.parameters import Filters, compile_sql
from panpan.errors import DatabaseError
from panpan.settings import Settings

STATE = Path(__file__).parent / "state"
MOST_ROWS = 10_000  # what Metabase shows of an aggregated question, too


@dataclass(frozen=True)
class Answer:
    """`failure` is a sentence instead of rows; `is_cut`: there are more than MOST_ROWS."""

    question: Question
    filters: Filters
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    is_cut: bool = False
    failure: str | None = None

    def values(self, column: str) -> list[Any]:
        """One column, top to bottom."""
        place = self.columns.index(column)
        return [row[place] for row in self.rows]

    def records(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    @property
    def currency(self) -> str | None:
        """The one currency of the answer; None where there is none, or each row says its own."""
        found = set(self.values("currency_code")) if "currency_code" in self.columns else set()
        return found.pop() if len(found) == 1 else None

    @property
    def period(self) -> tuple[date, date] | None:
        """First and last day the rows speak of, where they say so."""
        names = [c.name for c in self.question.columns if c.format in ("date", "month") and c.name in self.columns]
        days = [day for name in names for day in self.values(name) if isinstance(day, date)]
        return (min(days), max(days)) if days else None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw: no row, or no row with a figure."""
        figure = self.question.display.y
        return not self.rows or (figure is not None and all(value is None for value in self.values(figure)))


@dataclass(frozen=True)
class SourceState:
    """A source as the marts know it."""

    source: str
    title: str
    last_load_at: datetime | None
    last_record_at: datetime | None
    row_count: int
    reject_count: int
    freshness: str


@dataclass(frozen=True)
class Coverage:
    """The days one source covers in one mart, in one currency."""

    mart: str
    source: str
    currency_code: str
    first_day: date
    last_day: date
    ticket_count: int


@dataclass(frozen=True)
class DataState:
    """What the data are right now: `version` changes whenever anything shown could change."""

    version: str
    sources: tuple[SourceState, ...]
    coverage: tuple[Coverage, ...] = ()
    store_ids: tuple[str, ...] = ()

    def title(self, source: str) -> str:
        return next((s.title for s in self.sources if s.source == source), source)

    def currencies(self, source: str | None = None) -> list[str]:
        """Currencies of the sales, the one of most receipts first."""
        counts: dict[str, int] = {}
        for row in self.coverage:
            if row.mart == "marts.daily_store_sales" and source in (None, row.source):
                counts[row.currency_code] = counts.get(row.currency_code, 0) + row.ticket_count
        return sorted(counts, key=lambda currency: (-counts[currency], currency))

    def selling_sources(self, currency: str | None = None) -> list[str]:
        """Sources with sales, those of one currency where it is named."""
        rows = [row for row in self.coverage if row.mart == "marts.daily_store_sales"]
        return sorted({row.source for row in rows if currency in (None, row.currency_code)})

    def with_currency(self, filters: Filters) -> Filters:
        """The filters with their currency spelled out, so that all cards of a page mean the same one."""
        known = self.currencies(filters.source)
        return replace(filters, currency=known[0]) if filters.currency is None and known else filters

    def behind(self, answer: Answer) -> list[SourceState]:
        """The sources an answer was made of."""
        patterns = answer.question.sources
        if patterns:
            named = [s for s in self.sources if any(fnmatch(s.source.lower(), pattern) for pattern in patterns)]
            return named or list(self.sources)
        period, currency = answer.period, answer.currency or answer.filters.currency
        names = {
            row.source
            for row in self.coverage
            if (row.mart in answer.question.reads or "marts.daily_store_sales" in answer.question.reads)
            and answer.filters.source in (None, row.source)
            and currency in (None, row.currency_code)
            and (period is None or (row.first_day <= period[1] and row.last_day >= period[0]))
        }
        return [s for s in self.sources if s.source in names]


def as_of(sources: Sequence[SourceState]) -> datetime | None:
    """The moment up to which all of these sources have told us: the oldest of their last loads."""
    moments = [s.last_load_at for s in sources if s.last_load_at is not None]
    return min(moments) if moments else None


@contextmanager
def snapshot(settings: Settings) -> Iterator[PgConnection]:
    """
    One read-only view of the marts that does not change while it is open, as role bi.

    Errors: DatabaseError when the server can't be reached, breaks off, or has no marts yet.
    """
    with connect(settings, "bi") as connection:
        connection.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
        try:
            yield connection
        except psycopg2.Error as error:
            raise DatabaseError(
                "the database did not answer",
                cause=str(error).strip() or type(error).__name__,
                next="bin/panpan up",
            ) from error


def read_version(connection: PgConnection) -> DataState:
    """The cheap part of the state: sources, and the version made from them and the marts' change counters."""
    sources = tuple(SourceState(*row) for row in _rows(connection, "freshness"))
    changes = _rows(connection, "changes")
    return DataState(hashlib.sha256(repr((sources, changes)).encode()).hexdigest(), sources)


def read_coverage(connection: PgConnection, state: DataState) -> DataState:
    """The rest of the state, which reads the marts once."""
    coverage = tuple(Coverage(*row) for row in _rows(connection, "sources"))
    store_ids = tuple(row[0] for row in _rows(connection, "stores"))
    return replace(state, coverage=coverage, store_ids=store_ids)


def ask(connection: PgConnection, question: Question, filters: Filters, most_rows: int | None = MOST_ROWS) -> Answer:
    """
    One answer. A question that fails says so in its answer and leaves the snapshot usable for the others.

    Errors: psycopg2.OperationalError or InterfaceError when the connection itself is gone.
    """
    text, values = compile_sql(question.sql, filters.given())
    with connection.cursor() as cursor:
        cursor.execute("savepoint question")
        try:
            cursor.execute(text, values)
            columns = tuple(column.name for column in cursor.description or ())
            rows = cursor.fetchall() if most_rows is None else cursor.fetchmany(most_rows + 1)
        except psycopg2.Error as error:
            if connection.closed:
                raise
            cursor.execute("rollback to savepoint question")
            failure = (error.diag.message_primary or type(error).__name__).strip()
            return Answer(question, filters, failure=failure)
    kept = rows if most_rows is None else rows[:most_rows]
    return Answer(question, filters, columns, tuple(kept), is_cut=len(rows) > len(kept))


def is_reachable(settings: Settings) -> bool:
    """Whether the marts can be read; cheap enough to be asked every few seconds."""
    try:
        with snapshot(settings) as connection, connection.cursor() as cursor:
            cursor.execute("select 1 from marts.data_freshness limit 1")
    except DatabaseError:
        return False
    return True


def _rows(connection: PgConnection, name: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute((STATE / f"{name}.sql").read_text(encoding="utf-8"))
        return cursor.fetchall()
