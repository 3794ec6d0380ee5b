"""
What people decide about who is one customer: it wins over every rule, holds until undone, and is never forgotten.

Comes in: records or customers named on the command line. Goes out: core.customer_match_decisions, and core and marts
as they follow from it, in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from psycopg2.extensions import connection as PgConnection
from psycopg2.extensions import cursor as PgCursor

from db.connection import connect
from panpan.errors import UsageError
from panpan.settings import Settings
from transforms.matching.match import record_of, rematch
from transforms.matching.persons import Record
from transforms.run import LOCK_KEY, follow_matching, next_known_at


@dataclass(frozen=True)
class Outcome:
    """A decision's number, and whose each of its records is now (label -> customer id)."""

    decision_id: int
    customers: dict[str, str]


def merge_customers(settings: Settings, left: str, right: str, *, by: str, reason: str) -> Outcome:
    """
    Decide that two customers (ids, or records as source:id) are one person.

    Errors: UsageError when one is unknown, both are one already, a decision keeps them apart, or their sources share
    no customers.
    """
    with _deciding(settings) as cursor:
        one, other = find_record(cursor, left), find_record(cursor, right)
        if customer_of(cursor, one) == customer_of(cursor, other):
            raise UsageError(f"{left} and {right} are one customer already", next=f"bin/panpan match explain {one}")
        if _catalogue_of(cursor, one) != _catalogue_of(cursor, other):
            raise UsageError(f"{one.source} and {other.source} share no customers")
        _refuse_if_kept_apart(cursor, members(cursor, one), members(cursor, other))
        decision_id = _write(cursor, one, [other], is_same=True, by=by, reason=reason)
        return _follow(cursor, decision_id, [one, other])


def split_customer(settings: Settings, record: Record, customer: str, *, by: str, reason: str) -> Outcome:
    """
    Decide that a record is none of the others its customer is made of.

    Errors: UsageError when the record is unknown, is not of that customer, or is all there is of it.
    """
    with _deciding(settings) as cursor:
        known = find_record(cursor, str(record))
        named = customer_of(cursor, find_record(cursor, customer))
        if customer_of(cursor, known) != named:
            raise UsageError(f"{record} is not of customer {customer}", next=f"bin/panpan match explain {record}")
        others = [member for member in members(cursor, known) if member != known]
        if not others:
            raise UsageError(f"{record} is all there is of customer {customer}")
        decision_id = _write(cursor, known, others, is_same=False, by=by, reason=reason)
        return _follow(cursor, decision_id, [known, *others])


def undo_decision(settings: Settings, decision_id: int, *, by: str) -> Outcome:
    """
    Take a decision back: the rules, and the other decisions, say again who is who.

    Errors: UsageError when there is no such decision, or it is undone already.
    """
    with _deciding(settings) as cursor:
        cursor.execute(
            """
            update core.customer_match_decisions set undone_by = %s, undone_at = clock_timestamp()
            where decision_id = %s and undone_at is null
            returning record, others
            """,
            (by, decision_id),
        )
        found = cursor.fetchall()
        if not found:
            raise UsageError(f"there is no decision {decision_id} that holds", next="bin/panpan match list")
        [(record, others)] = found
        return _follow(cursor, decision_id, [record_of(label) for label in (record, *others)])


@contextmanager
def _deciding(settings: Settings) -> Iterator[PgCursor]:
    """One transaction, while no run is under way."""
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", (LOCK_KEY,))
        yield cursor


# --- who is who --------------------------------------------------------------------------------------------


def find_record(cursor: PgCursor, named: str) -> Record:
    """The record named as source:id, or a customer's oldest record by the customer's id. Errors: UsageError."""
    cursor.execute(
        """
        select source, source_customer_id from core.customer_sources
        where source = %s and source_customer_id = %s or customer_id = %s and matching_rule = 'own record'
        """,
        (*record_of(named), _uuid(named)),
    )
    found = cursor.fetchall()
    if not found:
        raise UsageError(
            f"there is no customer {named!r}", next="name it by its id, or as source:id, for example crm:501"
        )
    return Record(*found[0])


def customer_of(cursor: PgCursor, record: Record) -> str:
    """The customer a record is, by its id."""
    cursor.execute(
        "select customer_id from core.customer_sources where source = %s and source_customer_id = %s", tuple(record)
    )
    [(customer_id,)] = cursor.fetchall()
    return str(customer_id)


def members(cursor: PgCursor, record: Record) -> list[Record]:
    """All records of a record's customer."""
    cursor.execute(
        """
        select source, source_customer_id from core.customer_sources where customer_id = %s
        order by source, source_customer_id
        """,
        (customer_of(cursor, record),),
    )
    return [Record(*row) for row in cursor]


def _catalogue_of(cursor: PgCursor, record: Record) -> str:
    cursor.execute(
        "select catalogue from core.customer_facts where source = %s and source_customer_id = %s limit 1", tuple(record)
    )
    [(catalogue,)] = cursor.fetchall()
    return str(catalogue)


def _uuid(text: str) -> str | None:
    try:
        return str(UUID(text))
    except ValueError:
        return None


# --- deciding ----------------------------------------------------------------------------------------------


def _refuse_if_kept_apart(cursor: PgCursor, ours: Sequence[Record], theirs: Sequence[Record]) -> None:
    cursor.execute(
        """
        select decision_id from core.customer_match_decisions
        where undone_at is null and not is_same
        and (record = any (%(ours)s) and others && %(theirs)s or record = any (%(theirs)s) and others && %(ours)s)
        order by decision_id desc limit 1
        """,
        {"ours": [str(record) for record in ours], "theirs": [str(record) for record in theirs]},
    )
    for (decision_id,) in cursor.fetchall():
        raise UsageError(
            f"decision {decision_id} keeps them apart", next=f"bin/panpan match undo {decision_id}, then merge them"
        )


def _write(cursor: PgCursor, record: Record, others: Sequence[Record], *, is_same: bool, by: str, reason: str) -> int:
    cursor.execute(
        """
        insert into core.customer_match_decisions (is_same, record, others, reason, decided_by)
        values (%s, %s, %s, %s, %s) returning decision_id
        """,
        (is_same, str(record), [str(other) for other in others], reason, by),
    )
    [(decision_id,)] = cursor.fetchall()
    return int(decision_id)


def _follow(cursor: PgCursor, decision_id: int, records: Sequence[Record]) -> Outcome:
    """Core and marts as they follow from the decisions that hold now."""
    connection: PgConnection = cursor.connection
    known_at = next_known_at(connection)
    parameters = {"known_at": known_at, "rule_version": f"decision {decision_id}"}
    rematch(connection, _catalogue_of(cursor, records[0]), records, parameters)
    follow_matching(connection, parameters)
    cursor.execute(
        """
        insert into ops.runs (step, status, known_at, rule_version, started_at, finished_at)
        values ('match', 'done', %(known_at)s, %(rule_version)s, now(), clock_timestamp())
        """,
        parameters,
    )
    return Outcome(decision_id, {str(record): customer_of(cursor, record) for record in records})
