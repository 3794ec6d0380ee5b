"""
Goals: where a metric shall be by a day, where it is, and where it should be by now.

Comes in: goals/*.yaml, the marts. Goes out: marts.goal_progress, one row per goal and day; each value with the plan by
which it is traced.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import yaml
from psycopg2 import extras, sql
from psycopg2.extensions import connection as PgConnection
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from db.connection import connect
from panpan.errors import ContractError
from panpan.settings import Settings
from transforms.compiler import Plan, Query, compile_query, keep_plan, read_rows
from transforms.merge import Table, merge
from transforms.metrics import find_metric
from transforms.periods import spelled

FOLDER = Path(__file__).parent / "goals"
GOAL_PROGRESS = Table("marts", "goal_progress", ("goal", "day"), is_full=True)
PLACES = Decimal("0.0001")
LOCK_KEY = 7_265_733  # worker and command never write at once; any fixed number of our own

# The period in which the metric is measured on a day: its sum so far, or the level of a month.
MEASURED = {"by the month": "month-to-date", "by the last whole month": "last-month"}


class Goal(BaseModel):
    """What a metric shall change by, from when to when, and who answers for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    metric: str
    where: dict[str, str]
    base_period: str
    change_percent: int
    start: date
    end: date
    measured: Literal["added up since the start", "by the month", "by the last whole month"]
    owner: str

    @model_validator(mode="after")
    def _is_possible(self) -> Goal:
        metric = find_metric(self.metric)
        if self.end <= self.start:
            raise ValueError("it ends before it starts")
        if self.change_percent == 0:
            raise ValueError("change_percent is 0")
        if metric.is_by_currency and "currency" not in self.where:
            raise ValueError("an amount needs where: {currency: ...}")
        if self.measured not in MEASURED and metric.additive.time != "yes":
            raise ValueError(f"{self.metric} does not add up over time")
        return self


@dataclass(frozen=True)
class Progress:
    """One goal on one day, the columns of marts.goal_progress in their order."""

    goal: str
    day: date
    title: str
    owner: str
    metric: str
    unit: str
    currency_code: str | None
    start_on: date
    end_on: date
    base_value: Decimal | None
    target_value: Decimal | None
    value: Decimal | None
    expected_value: Decimal | None
    verdict: str
    plan_id: str
    base_plan_id: str


def load_goals(folder: Path = FOLDER) -> list[Goal]:
    """All goals. Errors: ContractError naming the file and its fault."""
    goals = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            goals.append(Goal.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))))
        except (ValidationError, yaml.YAMLError) as error:
            raise ContractError(f"goal {path.name} is wrong", cause=str(error), next=f"correct {path}") from None
    return goals


def refresh_goals(settings: Settings, today: date, goals: list[Goal] | None = None) -> int:
    """
    Make marts.goal_progress say what the marts say now, every day since each start anew: corrections reach back.

    A second call changes nothing. Gives the number of rows written; the plans of all figures are kept.
    """
    with connect(settings, "transformer") as connection:
        with connection.cursor() as cursor:
            cursor.execute("select pg_advisory_xact_lock(%s)", (LOCK_KEY,))
        rows = []
        for goal in load_goals() if goals is None else goals:
            for progress, plans in measure(connection, goal, today):
                rows.append(progress)
                for plan in plans:
                    keep_plan(settings, plan)
        return _write(connection, rows)


def measure(connection: PgConnection, goal: Goal, today: date) -> Iterator[tuple[Progress, tuple[Plan, Plan]]]:
    """A goal on each day of it that has figures, with the plans of value and base."""
    metric = find_metric(goal.metric)
    base_plan = compile_query(Query(goal.metric, where=goal.where, period=goal.base_period), today)
    base = _only_value(connection, base_plan)
    target = None if base is None else _rounded(base * (100 + goal.change_percent) / 100)
    for day, plan, value in _values(connection, goal, min(today, goal.end)):
        expected = None if base is None or target is None else _expected(goal, day, base, target)
        progress = Progress(
            goal=goal.name,
            day=day,
            title=goal.title,
            owner=goal.owner,
            metric=metric.name,
            unit=metric.unit,
            currency_code=goal.where.get("currency"),
            start_on=goal.start,
            end_on=goal.end,
            base_value=base,
            target_value=target,
            value=value,
            expected_value=expected,
            verdict=_verdict(goal, day, value, expected),
            plan_id=plan.plan_id,
            base_plan_id=base_plan.plan_id,
        )
        yield progress, (plan, base_plan)


def _values(connection: PgConnection, goal: Goal, last: date) -> Iterator[tuple[date, Plan, Decimal | None]]:
    """The metric on each day up to the last of which the mart knows anything."""
    if goal.start > last:
        return
    if goal.measured in MEASURED:
        known: dict[str, Decimal | None] = {}
        for day in _days(goal.start, min(last, _newest_day(connection))):
            plan = compile_query(Query(goal.metric, where=goal.where, period=MEASURED[goal.measured]), day)
            month = spelled(plan.first_day.replace(day=1), plan.first_day.replace(day=1))
            if month not in known:
                known[month] = _only_value(connection, plan)
            yield day, plan, known[month]
        return
    period = spelled(goal.start, last)
    by_day = compile_query(Query(goal.metric, ("day",), goal.where, period), last)
    values = {row["day"]: Decimal(row["value"] or 0) for row in read_rows(connection, by_day)}
    days = _days(goal.start, max(values, default=goal.start - timedelta(days=1)))
    for day, value in zip(days, accumulate(values.get(day, Decimal(0)) for day in days), strict=True):
        period = spelled(goal.start, day)
        yield day, compile_query(Query(goal.metric, where=goal.where, period=period), last), _rounded(value)


def _newest_day(connection: PgConnection) -> date:
    """The newest day with a sale: what comes after is not known yet."""
    with connection.cursor() as cursor:
        cursor.execute("select coalesce(max(business_date), '1900-01-01') from marts.daily_store_sales")
        [(newest,)] = cursor.fetchall()
    return newest  # type: ignore[no-any-return]  # a date is a date


def _only_value(connection: PgConnection, plan: Plan) -> Decimal | None:
    rows = read_rows(connection, plan)
    return _rounded(Decimal(rows[0]["value"])) if rows and rows[0]["value"] is not None else None


def _expected(goal: Goal, day: date, base: Decimal, target: Decimal) -> Decimal:
    """Where a straight line to the target stands at the end of a day."""
    elapsed, whole = (day - goal.start).days + 1, (goal.end - goal.start).days + 1
    if goal.measured in MEASURED:
        return _rounded(base + (target - base) * elapsed / whole)
    return _rounded(target * elapsed / whole)


def _verdict(goal: Goal, day: date, value: Decimal | None, expected: Decimal | None) -> str:
    if value is None or expected is None:
        return "unknown"
    is_well = value >= expected if goal.change_percent > 0 else value <= expected
    if day == goal.end:
        return "reached" if is_well else "missed"
    return "on track" if is_well else "behind"


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=count) for count in range((last - first).days + 1)]


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(PLACES)


def _write(connection: PgConnection, rows: list[Progress]) -> int:
    """Rows that say what they said keep the moment they were made."""
    names = list(Progress.__annotations__)
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    with connection.cursor() as cursor:
        cursor.execute("create temporary table goal_days (like marts.goal_progress) on commit drop")
        cursor.execute("alter table goal_days drop column refreshed_at")
        target = sql.SQL("insert into goal_days ({}) values %s").format(columns)
        if rows:
            extras.execute_values(cursor, target, [astuple(row) for row in rows], page_size=1000)
    select = sql.SQL(
        """
        select {given}, case when ({given}) is not distinct from ({kept}) then kept.refreshed_at else now() end
            as refreshed_at
        from goal_days as given left join marts.goal_progress as kept using (goal, day)
        """
    ).format(
        given=sql.SQL(", ").join(sql.Identifier("given", name) for name in names),
        kept=sql.SQL(", ").join(sql.Identifier("kept", name) for name in names),
    )
    return merge(connection, GOAL_PROGRESS, {}, select)


def read_progress(settings: Settings) -> list[dict[str, Any]]:
    """The newest day of each goal, as role bi; columns of marts.goal_progress."""
    with connect(settings, "bi") as connection, connection.cursor(cursor_factory=extras.RealDictCursor) as cursor:
        cursor.execute("select distinct on (goal) * from marts.goal_progress order by goal, day desc")
        return [dict(row) for row in cursor.fetchall()]
