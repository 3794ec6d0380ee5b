"""
The checks after a run, and whenever asked: made in one snapshot, kept, told.

Comes in: settings, a moment. Goes out: verdicts, kept by record.py. What blocks is made inside the run, by gate.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ
from psycopg2.extensions import connection as PgConnection

from db.connection import connect
from panpan.errors import DatabaseError
from panpan.settings import Settings
from transforms.contract import load_contracts
from transforms.quality.checks import load_checks
from transforms.quality.judge import EVER, Verdict, judge
from transforms.quality.record import record

LOCK_KEY = 7_265_728  # one run of the checks at a time; any fixed number of our own
RECENT = timedelta(days=62)  # what is looked at after each run, so that its cost does not grow with the history
WHOLE_EVERY = timedelta(hours=20)


def check_all(settings: Settings, now: datetime | None = None, since: date = EVER) -> list[Verdict]:
    """
    Make every check over business days from `since` on and keep what they found, in the order of the checks.

    A check with an open incident looks at all days: what it found long ago must be gone before the incident is.
    Errors: DatabaseError when the server goes away.
    """
    with _lock(settings):
        return _check(settings, now or datetime.now(UTC), since)


def check_news(settings: Settings) -> list[Verdict]:
    """Make every check over all days, unless they were made since the last load ended. Errors: as check_all."""
    with _lock(settings):
        return [] if _knows_all(settings) else _check(settings, datetime.now(UTC), EVER)


def _check(settings: Settings, moment: datetime, since: date) -> list[Verdict]:
    contracts = load_contracts(settings.own_contracts)
    try:
        with connect(settings, "transformer") as connection:
            # The verdicts of one run are of one state of the data, whatever a transform commits meanwhile.
            connection.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ)
            troubled = _open_causes(connection)
            known = load_checks().values()
            verdicts = judge(connection, contracts, [c for c in known if c.id not in troubled], moment, since)
            verdicts += judge(connection, contracts, [c for c in known if c.id in troubled], moment)
            record(connection, verdicts, moment)
    except psycopg2.Error as error:
        raise DatabaseError(
            "the checks could not be made", cause=str(error).strip(), next="bin/panpan quality run"
        ) from error
    return sorted(verdicts, key=lambda verdict: verdict.check.id)


def _knows_all(settings: Settings) -> bool:
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            "select (select max(checked_at) from marts.check_results)"
            " > (select coalesce(max(finished_at), '-infinity') from ops.loads)"
        )
        return cursor.fetchone() == (True,)


class Watch:
    """The checks as the worker makes them: over recent days, and over all days when it starts and once a day."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._whole_at: datetime | None = None

    def check(self) -> list[Verdict]:
        """Make them now. Errors: as check_all."""
        now = datetime.now(UTC)
        is_due = self._whole_at is None or now - self._whole_at > WHOLE_EVERY
        verdicts = check_all(self._settings, now, EVER if is_due else now.date() - RECENT)
        if is_due:
            self._whole_at = now
        return verdicts


def _open_causes(connection: PgConnection) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("select cause from ops.incidents where closed_at is null")
        return {cause for (cause,) in cursor.fetchall()}


@contextmanager
def _lock(settings: Settings) -> Iterator[None]:
    with connect(settings, "transformer", autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(%s)", (LOCK_KEY,))
        yield
