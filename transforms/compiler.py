"""
One door to every figure: a query (metric, dimensions, filters, period, comparison, as of) compiled to one SQL text.

Comes in: a Query and what day it is. Goes out: a Plan (SQL, parameters, plan id), and evaluated its Answer.
The same question gives the same plan id whoever asks: commands, dashboards, alerts, reports, goals. Amounts in
different currencies are never added: each row of an amount says its currency_code.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from psycopg2.extensions import connection as PgConnection
from psycopg2.extras import RealDictCursor

from db.connection import connect
from panpan.errors import UsageError
from panpan.settings import Settings
from transforms.asof import marts_as_of, remade
from transforms.metrics import CURRENCY, TIME_DIMENSIONS, Metric, Reading, find_metric
from transforms.periods import Shift, compared_days, days_of, spelled

PLAN_ID_LENGTH = 16


@dataclass(frozen=True)
class Query:
    """What is asked. where: dimension -> value to keep; period and compare are words, as_of the moment of knowledge."""

    metric: str
    by: tuple[str, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)
    period: str = "all"
    compare: str | None = None
    as_of: datetime | None = None


@dataclass(frozen=True)
class Plan:
    """A query made ready: days resolved, one statement, and the id by which the answer is traced."""

    query: Query
    metric: Metric
    first_day: date
    last_day: date
    sql: str
    parameters: dict[str, Any]
    plan_id: str
    reading: Reading
    asked_on: date


@dataclass(frozen=True)
class Answer:
    """
    What a plan gave. rows: one per combination of the asked dimensions (and currency_code for amounts), with value;
    with a comparison also compared, change and change_share. as_of: up to when data were there.
    """

    plan: Plan
    as_of: datetime | None
    rows: list[dict[str, Any]]


def compile_query(query: Query, today: date) -> Plan:
    """
    The plan of a query. Pure: reads the catalogue and nothing else.

    Errors: UsageError for an unknown metric, dimension, period or comparison, and for a sum that would be wrong, with
    the allowed form in `next`.
    """
    metric = find_metric(query.metric)
    first, last = days_of(query.period, today)
    reading = _reading(metric, query, (first, last), today)
    parameters: dict[str, Any] = {f"where_{name}": wanted for name, wanted in query.where.items()}
    if reading.day_column:
        parameters |= {"first_day": first, "last_day": last}
    compared: tuple[date, date] | None = None
    if query.compare:
        compared, shift = _comparison(metric, reading, query, query.compare, (first, last))
        parameters |= {"compared_first_day": compared[0], "compared_last_day": compared[1]}
        statement = _compared_select(metric, reading, query, shift)
    else:
        statement = _with_order(_select(metric, reading, query), metric, query)
    plan_id = _plan_id(metric, query, first, last, compared)
    return Plan(query, metric, first, last, statement, parameters, plan_id, reading, today)


def evaluate(settings: Settings, plan: Plan) -> Answer:
    """
    Ask the plan of the marts, as role bi; with `as_of` of the marts as they were known then. The plan is kept.

    Errors: UsageError for a moment in which the metric has no past; DatabaseError when there is no server.
    """
    with suppress(OSError):  # where the home can't be written to, the figure is still one; its plan leads nowhere
        keep_plan(settings, plan)
    if plan.query.as_of is None:
        with connect(settings, "bi") as connection:
            return Answer(plan, _newest_load(connection), read_rows(connection, plan))
    days = [each for each in plan.parameters.values() if isinstance(each, date)] or [plan.first_day, plan.last_day]
    with marts_as_of(settings, plan.query.as_of, [plan.reading.mart], (min(days), max(days))) as connection:
        return Answer(plan, plan.query.as_of, read_rows(connection, replace(plan, sql=remade(plan.sql))))


def read_rows(connection: PgConnection, plan: Plan) -> list[dict[str, Any]]:
    """The rows of a plan over a connection that is open already: several plans of one page in one snapshot."""
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(plan.sql, plan.parameters)
        return [dict(row) for row in cursor.fetchall()]


def cell_query(plan: Plan, row: Mapping[str, Any]) -> Query:
    """
    The query of one row of an answer alone: what the row's figure would be asked as by itself.

    So that a cell of a table, an alert and a command that speak of the same figure name one plan id.
    """
    query = plan.query
    where = {**query.where, **{name: str(row[name]) for name in query.by if name not in TIME_DIMENSIONS}}
    if CURRENCY in row and "currency" in plan.metric.dimensions:
        where["currency"] = row[CURRENCY]
    first, last = plan.first_day, plan.last_day
    for name in TIME_DIMENSIONS:
        if name in query.by:
            first, last = max(first, row[name]), min(last, _last_of(name, row[name]))
    return replace(query, by=(), where=where, period=spelled(first, last))


def total(answer: Answer) -> list[dict[str, Any]]:
    """
    The sum of an answer's rows, one per currency. Errors: UsageError where the metric does not add up over what the
    rows are of, with the form that gives the figure.
    """
    query, metric = answer.plan.query, answer.plan.metric
    for name in query.by:
        if not metric.adds_up_over(name):
            rest = " ".join(f"--by {other}" for other in query.by if metric.adds_up_over(other))
            raise UsageError(
                f"{metric.name} does not add up over {name}",
                cause=f"additive over time: {metric.additive.time}, store: {metric.additive.store}, "
                f"product: {metric.additive.product}",
                next=f"ask for the whole: panpan value {metric.name} --period {query.period} {rest}".strip(),
            )
    sums: dict[Any, Any] = {}
    for row in answer.rows:
        if row["value"] is not None:
            sums[row.get(CURRENCY)] = sums.get(row.get(CURRENCY), 0) + row["value"]
    return [{**({CURRENCY: currency} if currency else {}), "value": value} for currency, value in sums.items()]


# --- plans kept, so that their ids lead back --------------------------------------------------------------


def keep_plan(settings: Settings, plan: Plan) -> None:
    """Remember what a plan id was asked as. The id says what is in it, so a second keeping changes nothing."""
    file = _plan_file(settings, plan.plan_id)
    if file.is_file():
        return
    file.parent.mkdir(mode=0o700, exist_ok=True)
    query = plan.query
    kept = {
        "metric": query.metric,
        "by": list(query.by),
        "where": dict(query.where),
        "period": query.period,
        "first_day": plan.first_day,
        "last_day": plan.last_day,
        "compare": query.compare,
        "as_of": query.as_of,
        "asked_on": plan.asked_on,
        "definition_version": plan.metric.version,
    }
    part = file.with_suffix(f".{uuid.uuid4().hex}.part")  # two askers at once each write their own
    part.write_text(json.dumps(kept, default=lambda each: each.isoformat()), encoding="utf-8")
    part.replace(file)


def read_plan(settings: Settings, plan_id: str) -> Plan:
    """
    The plan of an id, its days those it was asked for, whatever day it is by now.

    Errors: UsageError for an unknown id, or a definition that has changed since.
    """
    file = _plan_file(settings, plan_id)
    if not file.is_file():
        raise UsageError(
            f"there is no plan {plan_id!r}",
            cause="plans are kept when a figure is asked for in this home",
            next="panpan value ... says the plan id of each figure",
        )
    kept = json.loads(file.read_text(encoding="utf-8"))
    query = Query(
        kept["metric"],
        tuple(kept["by"]),
        kept["where"],
        kept["period"],
        kept["compare"],
        datetime.fromisoformat(kept["as_of"]) if kept["as_of"] else None,
    )
    plan = compile_query(query, date.fromisoformat(kept["asked_on"]))
    if plan.plan_id != plan_id:
        raise UsageError(
            f"plan {plan_id} was made with version {kept['definition_version']} of {query.metric}",
            cause=f"the definition is at version {plan.metric.version} now",
            next=f"panpan value {query.metric} --period {spelled(plan.first_day, plan.last_day)}",
        )
    return plan


def _plan_file(settings: Settings, plan_id: str) -> Path:
    return settings.plans / f"{Path(plan_id).name}.json"


# --- choosing where to read ---------------------------------------------------------------------------------


def _reading(metric: Metric, query: Query, days: tuple[date, date], today: date) -> Reading:
    """The first of the metric's readings that can answer. Errors: UsageError saying what could be asked instead."""
    asked = [*query.by, *query.where]
    known = metric.dimensions
    for dimension in asked:
        if dimension not in known:
            raise UsageError(f"{metric.name} has no dimension {dimension!r}", cause=f"known: {', '.join(known)}")
    if len(set(query.by)) < len(query.by):
        raise UsageError(f"a dimension is named twice: {', '.join(query.by)}")
    if metric.needs_one_of and not set(metric.needs_one_of) & set(asked):
        raise UsageError(
            f"{metric.name} does not add up over everything",
            cause=metric.needs_one_of_reason,
            next=f"add {' or '.join(f'--by {name}' for name in metric.needs_one_of)}, or --where one of them",
        )
    fitting = [reading for reading in metric.readings if set(asked) <= set(reading.dimensions)]
    if not fitting:
        together = " | ".join(", ".join(reading.dimensions) for reading in metric.readings)
        raise UsageError(f"{metric.name} can't be split by {', '.join(asked)} at once", cause=f"together: {together}")
    for reading in fitting:
        if _answers(reading, query.period, days, today):
            return reading
    raise _refused_period(metric, fitting, query)


def _answers(reading: Reading, period: str, days: tuple[date, date], today: date) -> bool:
    """Whether a reading knows these days: now is today's alone, and a month is whole or has not ended yet."""
    if reading.day_column is None:
        return period == "all" or days[0] <= today <= days[1]
    if reading.time_grain == "month":
        return days[0].day == 1 and ((days[1] + timedelta(days=1)).day == 1 or days[1] >= today)
    return True


def _refused_period(metric: Metric, fitting: Iterable[Reading], query: Query) -> UsageError:
    monthly = any(reading.time_grain == "month" and reading.day_column for reading in fitting)
    if monthly:
        return UsageError(
            f"{metric.name} is not known for {query.period}",
            cause="it is worked out by whole months",
            next="ask for whole months: --period 2026-05, last-month, 2026-Q2, 2026-01-01..2026-06-30",
        )
    return UsageError(
        f"{metric.name} is not known for {query.period}",
        cause=f"split like this it is a level that is known as it is now, not by day (time: {metric.additive.time})",
        next=f"leave --period out, or see what was known then: panpan value {metric.name} --as-of 2026-05-31T23:59",
    )


# --- the statement -------------------------------------------------------------------------------------------


def _select(
    metric: Metric,
    reading: Reading,
    query: Query,
    days: tuple[str, str] = ("first_day", "last_day"),
    shift: Shift | None = None,
) -> str:
    """One select of the metric; values go in as parameters, names only from its definition."""
    selected = [
        f"{shift.of(expression) if shift and name in TIME_DIMENSIONS else expression} as {name}"
        for name, expression in _grouped(metric, reading, query).items()
    ]
    conditions = [f"({reading.dimensions[name]})::text = %(where_{name})s" for name in query.where]
    if reading.day_column:
        conditions.append(f"{reading.day_column} between %({days[0]})s and %({days[1]})s")
    if shift and "day" in query.by:
        conditions.append(shift.has_partner(reading.dimensions["day"]))
    if reading.takes_last and not set(query.by) & set(TIME_DIMENSIONS):
        newest = [
            f"select max({reading.day_column})",
            f"from marts.{reading.mart}",
            f"where {' and '.join(conditions)}",
        ]
        conditions.append(f"{reading.day_column} = ({' '.join(newest)})")
    lines = [
        f"select {', '.join([*selected, f'{reading.expression} as value'])}",
        f"from marts.{reading.mart}",
        *([f"where {' and '.join(conditions)}"] if conditions else []),
    ]
    if selected:
        lines.append(f"group by {_places(len(selected))}")
    return "\n".join(lines)


def _compared_select(metric: Metric, reading: Reading, query: Query, shift: Shift) -> str:
    """Both periods side by side: a row that is in one of them alone has no figure for the other."""
    names = list(_grouped(metric, reading, query))
    now = _select(metric, reading, query)
    then = _select(metric, reading, query, ("compared_first_day", "compared_last_day"), shift)
    each = "".join(f"{name}, " for name in names)
    lines = [
        f"with asked as (\n{now}\n), compared as (\n{then}\n), periods as (",
        f"select {each}value, null::numeric as compared",
        "from asked",
        "union all",
        f"select {each}null::numeric as value, value as compared",
        "from compared",
        "), joined as (",
        f"select {each}max(value) as value, max(compared) as compared",
        "from periods",
        *([f"group by {_places(len(names))}"] if names else []),
        ")",
        f"select {each}value, compared, value - compared as change,",
        "round((value - compared) / nullif(abs(compared), 0), 4) as change_share",
        "from joined",
    ]
    return _with_order("\n".join(lines), metric, query)


def _with_order(statement: str, metric: Metric, query: Query) -> str:
    places = len(query.by) + (metric.is_by_currency)
    return f"{statement}\norder by {_places(places)}" if places else statement


def _grouped(metric: Metric, reading: Reading, query: Query) -> dict[str, str]:
    grouped = {name: reading.dimensions[name] for name in query.by}
    if metric.is_by_currency:
        grouped[CURRENCY] = CURRENCY
    return grouped


def _places(count: int) -> str:
    return ", ".join(str(place + 1) for place in range(count))


def _comparison(
    metric: Metric, reading: Reading, query: Query, comparison: str, days: tuple[date, date]
) -> tuple[tuple[date, date], Shift]:
    """The days compared with, and how far they lie from those asked for."""
    if reading.day_column is None:
        raise UsageError(
            f"{metric.name} can't be compared", cause="it is known as it is now", next="leave --compare out"
        )
    if metric.unit == "moment" or query.period == "all":
        raise UsageError(f"{metric.name} of {query.period} can't be compared", next="name a period, such as last-week")
    compared, shift = compared_days(comparison, *days)
    if reading.time_grain == "month" and not shift.months:
        raise UsageError(
            f"{metric.name} can't be compared with {comparison}",
            cause="it is worked out by whole months",
            next="--compare previous-period or same-period-last-year, of whole months",
        )
    for name, fits in (("week", shift.days % 7 == 0 and not shift.months), ("month", not shift.days)):
        if name in query.by and not fits:
            raise UsageError(
                f"the {name}s of {query.period} have no partner in {spelled(*compared)}",
                next="--compare same-weekday-last-year for weeks, same-period-last-year for months, or --by day",
            )
    return compared, shift


def _plan_id(metric: Metric, query: Query, first: date, last: date, compared: tuple[date, date] | None) -> str:
    """Hash of what makes the figure; the words it was asked in, and the order of its parts, do not."""
    asked = {
        "metric": metric.name,
        "version": metric.version,
        "by": sorted(query.by),
        "where": sorted(query.where.items()),
        "days": [first.isoformat(), last.isoformat()],
        "compare": [query.compare, *map(date.isoformat, compared)] if compared else None,
        "as_of": query.as_of.astimezone(UTC).isoformat() if query.as_of else None,
    }
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:PLAN_ID_LENGTH]


def _newest_load(connection: PgConnection) -> datetime | None:
    with connection.cursor() as cursor:
        cursor.execute("select max(last_load_at) from marts.data_freshness")
        [(newest,)] = cursor.fetchall()
    return newest  # type: ignore[no-any-return]  # a timestamptz is a datetime


def _last_of(name: str, first: date) -> date:
    """The last day of the day, week or month that begins on a day."""
    following = {
        "day": first + timedelta(days=1),
        "week": first + timedelta(days=7),
        "month": (first.replace(day=1) + timedelta(days=32)).replace(day=1),
    }
    return following[name] - timedelta(days=1)
