"""
How far there is one truth: consistency, coverage of the catalogue, freshness, time to answer, open discrepancies.

Comes in: what other parts keep in ops and marts. Goes out: measures, kept once a day in ops.truth_scores. What was
never measured is said to be unknown; it is not counted as good.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection
from psycopg2.extras import Json

from db.connection import connect
from panpan.governance.approval import drafts
from panpan.settings import CHECKOUT, Settings
from transforms.goals import load_goals
from transforms.metrics import load_metrics

QUICK_SECONDS = 2
GOALS = "marts.goal_progress"
# What a question reads that asks about the data itself: no figure of the business, so no metric of the catalogue.
OF_THE_DATA = {"marts.backup_proofs", "marts.check_results", "marts.data_freshness", "marts.reconciliation"}
TREND_DAYS = 30


@dataclass(frozen=True)
class Measure:
    """One measure: how many of how many are as they should be (both None where nobody measured), and what that says."""

    name: str
    good: int | None
    of: int | None
    says: str

    @property
    def share(self) -> float | None:
        """0 to 1; None where there is nothing to measure."""
        return self.good / self.of if self.good is not None and self.of else None


@dataclass(frozen=True)
class Score:
    """The measures of a day, and the days before: (day, score in percent)."""

    scored_on: date
    measures: list[Measure]
    trend: list[tuple[date, float | None]]

    @property
    def percent(self) -> float | None:
        """The mean of the shares that are known, 0 to 100."""
        return percent(self.measures)


def percent(measures: list[Measure]) -> float | None:
    """The mean of the shares that are known, 0 to 100."""
    shares = [each.share for each in measures if each.share is not None]
    return round(100 * sum(shares) / len(shares), 1) if shares else None


def score(settings: Settings, today: date) -> Score:
    """Measure, keep it as the day's, and give it with the days before."""
    unapproved = drafts(settings)
    with connect(settings, "transformer") as connection:
        measures = [
            _consistency(connection),
            _discrepancies(connection),
            _coverage(unapproved),
            _freshness(connection),
            _time_to_answer(connection),
        ]
        with connection.cursor() as cursor:
            cursor.execute(
                """
                insert into ops.truth_scores (scored_on, measures) values (%s, %s)
                on conflict (scored_on) do update set measures = excluded.measures, scored_at = clock_timestamp()
                """,
                (today, Json([asdict(each) for each in measures])),
            )
            cursor.execute(
                "select scored_on, measures from ops.truth_scores where scored_on > %s::date - %s order by scored_on",
                (today, TREND_DAYS),
            )
            kept = cursor.fetchall()
    return Score(today, measures, [(day, percent([Measure(**each) for each in found])) for day, found in kept])


def _consistency(connection: PgConnection) -> Measure:
    """Metrics told by two systems whose difference is explained record by record."""
    found = _one_row(
        connection,
        "ops.reconciliations",
        "select count(*) filter (where residual_amount = 0), count(*) from ops.reconciliations",
    )
    if not found or not found[1]:
        return Measure("consistency", None, None, "no metric has been reconciled yet")
    says = f"{found[0]} of {found[1]} reconciled figures are explained to the cent"
    return Measure("consistency", found[0], found[1], says)


def _discrepancies(connection: PgConnection) -> Measure:
    found = _one_row(
        connection,
        "ops.discrepancies",
        "select count(*) filter (where status <> 'open'), count(*) from ops.discrepancies",
    )
    if not found or not found[1]:
        return Measure("discrepancies", None, None, "no discrepancy has been registered yet")
    return Measure("discrepancies", found[0], found[1], f"{found[1] - found[0]} of {found[1]} discrepancies are open")


def _coverage(unapproved: set[str]) -> Measure:
    """Questions of the dashboards about the business whose figure is an approved metric of the catalogue."""
    approved = set(load_metrics()) - unapproved
    goals = {goal.metric for goal in load_goals()}
    asked = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in _question_files()]
    shown = [
        _metrics_of(each, goals) for each in asked if "metric" in each or not OF_THE_DATA.issuperset(each["reads"])
    ]
    good = sum(1 for metrics in shown if metrics and metrics <= approved)
    says = f"{good} of {len(shown)} dashboard questions about the business show an approved metric"
    return Measure("coverage", good, len(shown), says)


def _metrics_of(question: dict[str, Any], goals: set[str]) -> set[str]:
    """The metrics a question's figures are; none where it works them out itself."""
    if "metric" in question:
        return {question["metric"]}
    return goals if question["reads"] == [GOALS] else set()


def _question_files() -> list[Path]:
    return sorted((CHECKOUT / "metabase" / "questions").glob("*.yaml"))


def _freshness(connection: PgConnection) -> Measure:
    found = _one_row(
        connection,
        "marts.data_freshness",
        """
        select
            count(*) filter (
                where now() - least(last_record_at, last_load_at) <= make_interval(hours => warn_after_hours)
            ),
            count(*)
        from marts.data_freshness
        """,
    )
    if not found or not found[1]:
        return Measure("freshness", None, None, "no source has sent anything yet")
    says = f"{found[0]} of {found[1]} sources are as fresh as their contract says"
    return Measure("freshness", found[0], found[1], says)


def _time_to_answer(connection: PgConnection) -> Measure:
    found = _one_row(
        connection,
        "ops.answer_times",
        """
        select
            count(*) filter (where seconds <= %(quick)s),
            count(*),
            round(1000 * percentile_cont(0.5) within group (order by seconds))::integer
        from ops.answer_times
        where answered_at > now() - interval '30 days'
        """,
    )
    if not found or not found[1]:
        return Measure("time_to_answer", None, None, "nothing has been asked yet")
    says = f"{found[0]} of {found[1]} answers came within {QUICK_SECONDS} s, half of them within {found[2]} ms"
    return Measure("time_to_answer", found[0], found[1], says)


def _one_row(connection: PgConnection, table: str, statement: str) -> tuple[Any, ...] | None:
    """The row of a statement; None while the part that keeps the table isn't there."""
    with connection.cursor() as cursor:
        cursor.execute("select to_regclass(%s) is not null", (table,))
        [(is_there,)] = cursor.fetchall()
        if not is_there:
            return None
        cursor.execute(sql.SQL(statement), {"quick": QUICK_SECONDS})
        [row] = cursor.fetchall()
    return tuple(row)


class Timed:
    """How an answer that is being timed went."""

    is_answered = False


@contextmanager
def timed(settings: Settings, kind: str) -> Iterator[Timed]:
    """Keep how long an answer took; the block says whether there was one. What was asked is not kept."""
    answer, start = Timed(), time.perf_counter()
    yield answer
    seconds = time.perf_counter() - start
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            "insert into ops.answer_times (kind, is_answered, seconds) values (%s, %s, %s)",
            (kind, answer.is_answered, round(seconds, 3)),
        )
