"""
What the checks found, kept: every result, the latest one per check for readers, and one incident per cause.

Comes in: verdicts of one moment. Goes out: ops.check_results, marts.check_results, ops.incidents.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg2 import extras
from psycopg2.extensions import connection as PgConnection

from db.connection import connect
from panpan.errors import UsageError
from panpan.settings import Settings
from transforms.quality.checks import load_checks
from transforms.quality.judge import Verdict

KEPT = timedelta(days=90)


@dataclass(frozen=True)
class Incident:
    """One cause and the time it was there; closed_at is None while it is open."""

    incident_id: int
    cause: str
    severity: str
    owner: str
    meaning: str
    found: str
    opened_at: datetime
    last_seen_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str | None
    closed_at: datetime | None

    @property
    def lasted(self) -> timedelta | None:
        """How long it was there; None while it is open."""
        return self.closed_at - self.opened_at if self.closed_at else None


def record(connection: PgConnection, verdicts: Sequence[Verdict], now: datetime) -> None:
    """Keep the results of one moment: open, prolong and close incidents, and say in the mart how each check stands."""
    _keep_results(connection, verdicts, now)
    _open_incidents(connection, verdicts, now)
    _close_incidents(connection, verdicts, now)
    _show(connection, verdicts, now)


def _keep_results(connection: PgConnection, verdicts: Iterable[Verdict], now: datetime) -> None:
    with connection.cursor() as cursor:
        extras.execute_values(
            cursor,
            "insert into ops.check_results"
            " (check_id, state, offending_count, examples, reason, seconds, checked_at) values %s",
            [
                (
                    verdict.check.id,
                    verdict.state,
                    verdict.count,
                    extras.Json([{"key": e.key, "found": e.found} for e in verdict.examples]),
                    verdict.reason,
                    verdict.seconds,
                    now,
                )
                for verdict in verdicts
            ],
        )
        cursor.execute("delete from ops.check_results where checked_at < %s", (now - KEPT,))


def _open_incidents(connection: PgConnection, verdicts: Iterable[Verdict], now: datetime) -> None:
    """A failure opens an incident, or shows that the open one of its cause is still there."""
    failures = [
        (v.check.id, v.check.severity, v.check.owner, v.check.meaning, v.found, now, now)
        for v in verdicts
        if v.state == "failed"
    ]
    with connection.cursor() as cursor:
        extras.execute_values(
            cursor,
            """
            insert into ops.incidents as known (cause, severity, owner, meaning, found, opened_at, last_seen_at)
            values %s
            on conflict (cause) where closed_at is null do update
            set severity = excluded.severity, owner = excluded.owner, meaning = excluded.meaning,
                found = excluded.found, last_seen_at = greatest(known.last_seen_at, excluded.last_seen_at)
            """,
            failures,
        )


def _close_incidents(connection: PgConnection, verdicts: Iterable[Verdict], now: datetime) -> None:
    """A good result closes; so does a check that is no longer made. One that could not be made says nothing."""
    passed = [verdict.check.id for verdict in verdicts if verdict.state == "passed"]
    with connection.cursor() as cursor:
        cursor.execute(
            "update ops.incidents set closed_at = greatest(opened_at, %s)"
            " where closed_at is null and (cause = any(%s) or not cause = any(%s))",
            (now, passed, list(load_checks())),
        )


def _show(connection: PgConnection, verdicts: Iterable[Verdict], now: datetime) -> None:
    with connection.cursor() as cursor:
        extras.execute_values(
            cursor,
            """
            insert into marts.check_results
                (check_id, layer, severity, owner, meaning, state, offending_count, found, checked_at)
            values %s
            on conflict (check_id) do update
            set layer = excluded.layer, severity = excluded.severity, owner = excluded.owner,
                meaning = excluded.meaning, state = excluded.state, offending_count = excluded.offending_count,
                found = excluded.found, checked_at = excluded.checked_at
            """,
            [
                (
                    verdict.check.id,
                    verdict.check.layer,
                    verdict.check.severity,
                    verdict.check.owner,
                    verdict.check.meaning,
                    verdict.state,
                    verdict.count,
                    verdict.found,
                    now,
                )
                for verdict in verdicts
            ],
        )
        cursor.execute("delete from marts.check_results where not check_id = any(%s)", (list(load_checks()),))
        cursor.execute(
            """
            update marts.check_results as shown
            set failing_since = (
                select incident.opened_at from ops.incidents as incident
                where incident.cause = shown.check_id and incident.closed_at is null
            )
            """
        )


def incidents(settings: Settings, *, only_open: bool = False, limit: int = 100) -> list[Incident]:
    """Incidents, open ones first, then the newest."""
    with connect(settings, "transformer") as connection:
        return read_incidents(connection, only_open=only_open, limit=limit)


def read_incidents(connection: PgConnection, *, only_open: bool = False, limit: int = 100) -> list[Incident]:
    """As `incidents`, on an open connection."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select incident_id, cause, severity, owner, meaning, found, opened_at, last_seen_at,
                acknowledged_at, acknowledged_by, note, closed_at
            from ops.incidents
            where closed_at is null or not %s
            order by closed_at is not null, severity, opened_at desc, incident_id desc limit %s
            """,
            (only_open, limit),
        )
        return [Incident(*row) for row in cursor.fetchall()]


def acknowledge(settings: Settings, incident_id: int, by: str, note: str | None) -> Incident:
    """
    Say that somebody takes an incident on; it stays open until a check finds it gone.

    Errors: UsageError when there is no such open incident.
    """
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            "update ops.incidents set acknowledged_at = coalesce(acknowledged_at, clock_timestamp()),"
            " acknowledged_by = %s, note = coalesce(%s, note) where incident_id = %s and closed_at is null",
            (by, note, incident_id),
        )
        if not cursor.rowcount:
            raise UsageError(f"there is no open incident {incident_id}", next="bin/panpan quality incidents")
        [found] = [
            each for each in read_incidents(connection, only_open=True, limit=10_000) if each.incident_id == incident_id
        ]
        return found


def last_result(settings: Settings, check_id: str) -> dict[str, Any] | None:
    """What a check found last: state, offending_count, examples, reason, seconds, checked_at; None before the first."""
    with (
        connect(settings, "transformer") as connection,
        connection.cursor(cursor_factory=extras.RealDictCursor) as cursor,
    ):
        cursor.execute(
            "select state, offending_count, examples, reason, seconds, checked_at from ops.check_results"
            " where check_id = %s order by result_id desc limit 1",
            (check_id,),
        )
        row = cursor.fetchone()
    return dict(row) if row else None
