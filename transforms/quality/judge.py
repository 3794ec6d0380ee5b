"""
Makes the checks: each select or function in a savepoint and a time limit of its own, so that one can't spoil the rest.

Comes in: a connection, contracts, a moment, the first day to look at. Goes out: verdicts; nothing is written.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

import psycopg2
from psycopg2 import extras, sql
from psycopg2.extensions import connection as PgConnection
from psycopg2.extensions import cursor as PgCursor

from transforms.contract import Contract
from transforms.merge import create_result, select_text
from transforms.quality.checks import Check
from transforms.quality.freshness import create_freshness
from transforms.quality.received import FUNCTIONS

EXAMPLES = 5
LIMIT_MILLISECONDS = 20_000
EVER = date(1, 1, 1)
CHECKED = ("checked_sales", "checked_lines")  # transforms/quality/<name>.sql, of checked_days

State = Literal["passed", "failed", "unknown"]


@dataclass(frozen=True)
class Example:
    """One offender: what it is called and what was found."""

    key: str
    found: str


@dataclass(frozen=True)
class Verdict:
    """What a check found. count is None and reason says why where it could not be made."""

    check: Check
    state: State
    count: int | None
    examples: tuple[Example, ...]
    seconds: float
    reason: str | None = None

    @property
    def found(self) -> str | None:
        """The first offender in words, and how many there are; None where nothing was found."""
        if self.state == "unknown":
            return f"could not be made: {self.reason}"
        if not self.examples:
            return None
        first = f"{self.examples[0].key}: {self.examples[0].found}"
        return first if self.count == 1 else f"{first}; {self.count} in all"


def judge(
    connection: PgConnection,
    contracts: Mapping[str, Contract],
    checks: Iterable[Check],
    now: datetime,
    since: date = EVER,
) -> list[Verdict]:
    """
    Make checks as of a moment, over business days from `since` on. Errors: psycopg2.Error when the server goes away.

    The connection must be in a transaction; the temporary tables made for the checks go with it.
    """
    parameters = parameters_of(now, since)
    with _savepoint(connection, "checks"):
        _prepare(connection, contracts, parameters)
        return [make(connection, check, contracts, parameters) for check in checks]


def parameters_of(now: datetime, since: date = EVER, known_at: datetime | None = None) -> dict[str, Any]:
    """What the selects are given; known_at: only what became known at that moment is looked at, where that is told."""
    return {"now": now, "today": now.astimezone(UTC).date(), "since": since, "known_at": known_at}


def make(
    connection: PgConnection, check: Check, contracts: Mapping[str, Contract], parameters: Mapping[str, Any]
) -> Verdict:
    """Make one check; what the checks read must be prepared."""
    started = time.monotonic()

    def verdict(
        state: State, count: int | None, examples: Iterable[Example] = (), reason: str | None = None
    ) -> Verdict:
        return Verdict(check, state, count, tuple(examples), round(time.monotonic() - started, 3), reason)

    with connection.cursor() as cursor:
        cursor.execute("savepoint one_check")
        try:
            cursor.execute("select set_config('statement_timeout', %s, true)", (str(LIMIT_MILLISECONDS),))
            if check.function:
                offenders = [Example(*row) for row in FUNCTIONS[check.function](connection, contracts, parameters)]
                return verdict("failed" if offenders else "passed", len(offenders), offenders[:EXAMPLES])
            rows = _offenders(cursor, check, parameters)
        except psycopg2.Error as error:
            if connection.closed:
                raise
            cursor.execute("rollback to savepoint one_check")
            return verdict("unknown", None, reason=(error.diag.message_primary or str(error)).strip())
        finally:
            if not connection.closed:
                cursor.execute("release savepoint one_check; set local statement_timeout = 0")
        count = rows[0][2] if rows else 0
        return verdict("failed" if rows else "passed", count, [Example(key, found) for key, found, _ in rows])


def _offenders(cursor: PgCursor, check: Check, parameters: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    cursor.execute(
        sql.SQL("select key, found, count(*) over () from (\n{}\n) as offenders order by key, found limit {}").format(
            sql.SQL(check.statement), sql.Literal(EXAMPLES)
        ),
        {**parameters, **check.parameters},
    )
    return cursor.fetchall()


@contextmanager
def _savepoint(connection: PgConnection, name: str) -> Iterator[None]:
    """What is made inside is gone afterwards; what the caller did before stays."""
    identifier = sql.Identifier(name)
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("savepoint {}").format(identifier))
        yield
        cursor.execute(sql.SQL("rollback to savepoint {0}; release savepoint {0}").format(identifier))


def _prepare(connection: PgConnection, contracts: Mapping[str, Contract], parameters: Mapping[str, Any]) -> None:
    create_freshness(connection, contracts, parameters["now"])
    with connection.cursor() as cursor:
        _create_contract_tables(cursor, contracts)
        cursor.execute(
            """
            create temporary table checked_days on commit drop as
            select business_date, store_id, source from core.sales where business_date >= %(since)s
            union
            select business_date, store_id, source from marts.daily_store_sales where business_date >= %(since)s;
            analyze checked_days
            """,
            parameters,
        )
        for name in CHECKED:
            cursor.execute(
                sql.SQL("create temporary view {} as {}").format(
                    sql.Identifier(name), sql.SQL(select_text("quality", name))
                )
            )


def create_checked(cursor: PgCursor) -> None:
    """What the checks of a run read of checked_days, once for all of them."""
    for name in CHECKED:
        create_result(cursor, name, "quality", {})


def _create_contract_tables(cursor: PgCursor, contracts: Mapping[str, Contract]) -> None:
    """What the selects need to know of the contracts: contract_sources and contract_columns."""
    cursor.execute(
        """
        create temporary table contract_sources (source text, system text) on commit drop;
        create temporary table contract_columns (source text, kind text, format text, column_name text) on commit drop
        """
    )
    sources = [(contract.source, contract.system) for contract in contracts.values()]
    extras.execute_values(cursor, "insert into contract_sources values %s", sources)
    columns = {
        (contract.source, entity.kind, entity.format, name)
        for contract in contracts.values()
        for entity in contract.entities
        for value in entity.columns.values()
        if value.required and value.pick != "first"
        for name in value.received
    }
    extras.execute_values(cursor, "insert into contract_columns values %s", sorted(columns))
