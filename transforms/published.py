"""
Published figures: what each metric's cell said and since when, and how one day's figure came to be what it is.

Comes in: marts.daily_store_sales after each run. Goes out: marts.published_figures, one row per change of a cell;
the steps of a day with their causes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection
from psycopg2.extras import RealDictCursor

from db.connection import connect
from panpan.errors import UsageError
from panpan.settings import Settings
from transforms.metrics import Metric, find_metric, load_metrics

CELL = ("business_date", "store_id", "source", "channel", "currency_code")


@dataclass(frozen=True)
class Step:
    """A moment at which a day's figure changed: its value since then, the change, and what made it by cause."""

    known_at: datetime
    value: Decimal
    delta: Decimal
    cause: str
    causes: dict[str, Decimal]
    receipts: int


@dataclass(frozen=True)
class Evolution:
    """The steps of one day's figure, oldest first, and what of its changes no receipt explains (0.00)."""

    metric: Metric
    steps: list[Step]
    unexplained: Decimal


def published_metrics() -> list[Metric]:
    """The metrics whose daily cells are written down: those that add up over receipts."""
    return [metric for metric in load_metrics().values() if metric.receipt_expression]


def publish_figures(connection: PgConnection, parameters: Mapping[str, Any]) -> int:
    """
    Write down each cell of the affected days that says something else than before. A second call writes nothing.

    Reads affected_days; gives the number of figures written.
    """
    metrics = published_metrics()
    values = sql.SQL(", ").join(
        sql.SQL("({}, {}, {})").format(
            sql.Literal(metric.name), sql.Literal(metric.version), sql.SQL(_cell_expression(metric))
        )
        for metric in metrics
    )
    cell = sql.SQL(", ").join(map(sql.Identifier, CELL))
    same = sql.SQL(" and ").join(sql.SQL("last.{0} = said.{0}").format(sql.Identifier(name)) for name in CELL)
    statement = sql.SQL(
        """
        with said as (
            select {cell}, figure.metric, figure.version, figure.value
            from marts.daily_store_sales as cell
            inner join affected_days using (business_date, store_id, source)
            cross join lateral (values {values}) as figure (metric, version, value)
        ), last as (
            select distinct on (metric, {cell}) metric, {cell}, value
            from marts.published_figures
            inner join affected_days using (business_date, store_id, source)
            order by metric, {cell}, known_at desc
        )
        insert into marts.published_figures
            (metric, {cell}, known_at, value, definition_version, rule_version)
        select metric, {cell}, %(known_at)s, said.value, said.version, %(rule_version)s
        from said left join last using (metric, {cell})
        where said.value is distinct from last.value
        union all
        select last.metric, {cell}, %(known_at)s, null, 0, %(rule_version)s
        from last
        where last.value is not null
        and not exists (select from said where said.metric = last.metric and {same})
        on conflict (metric, {cell}, known_at) do update
        set value = excluded.value, definition_version = excluded.definition_version
        """
    ).format(cell=cell, values=values, same=same)
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)


def _cell_expression(metric: Metric) -> str:
    """The metric over one row of its mart: sum(x) over one row is x."""
    inner = metric.readings[0].expression.removeprefix("sum(").removesuffix(")")
    if metric.readings[0].expression != f"sum({inner})":
        raise UsageError(f"{metric.name} can't be published by day", cause="its expression is not sum(column)")
    return f"cell.{inner}::numeric"


EVOLUTION = """
with cells as (
    select {cell}, known_at, value,
        lead(known_at) over (partition by {cell} order by known_at) as until
    from marts.published_figures
    where metric = %(metric)s and business_date = %(day)s {filters}
), moments as (
    select distinct known_at from cells
)
select moments.known_at, sum(coalesce(cells.value, 0)) as value
from moments
inner join cells on cells.known_at <= moments.known_at and (cells.until is null or cells.until > moments.known_at)
group by moments.known_at order by moments.known_at
"""
CURRENCIES = """
select distinct currency_code
from marts.published_figures
where metric = %(metric)s and business_date = %(day)s {filters} order by currency_code
"""
RECEIPTS = """
select moment as known_at, cause, sum(amount) as amount, count(*)::integer as receipts
from (
    select known_from as moment, change_cause as cause, coalesce({expression}, 0) as amount
    from core_history.sales
    where business_date = %(day)s {filters}
    union all
    select known_to, closed_cause, -coalesce({expression}, 0)
    from core_history.sales_versions as sales
    where business_date = %(day)s {filters}
) as part
group by moment, cause order by moment, cause
"""


def evolve(settings: Settings, name: str, day: date, where: Mapping[str, str], currency: str | None) -> Evolution:
    """
    How the figure of one day changed since it was first known, step by step, each with the receipts that made it.

    Errors: UsageError for a metric that is not published by day, or amounts in several currencies without a choice.
    """
    metric = find_metric(name)
    if not metric.receipt_expression:
        raise UsageError(
            f"{name} has no steps by day", cause=f"published: {', '.join(m.name for m in published_metrics())}"
        )
    columns = {"store": "store_id", "source": "source", "channel": "channel"}
    unknown = sorted(set(where) - set(columns))
    if unknown:
        raise UsageError(f"{unknown[0]!r} can't be chosen here", cause=f"known: {', '.join(columns)}")
    chosen = {columns[key]: value for key, value in where.items()}
    with connect(settings, "transformer") as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute("set transaction read only")
        if metric.unit == "currency":
            chosen["currency_code"] = _currency(cursor, metric, day, chosen, currency)
        filters = "".join(f" and coalesce({column}, 'unknown') = %({column})s" for column in chosen)
        parameters = {"metric": metric.name, "day": day, **chosen}
        cursor.execute(EVOLUTION.format(cell=", ".join(CELL), filters=filters), parameters)
        figures = cursor.fetchall()
        cursor.execute(RECEIPTS.format(expression=metric.receipt_expression, filters=filters), parameters)
        parts = cursor.fetchall()
    return Evolution(metric, *_steps(figures, parts))


def _currency(cursor: Any, metric: Metric, day: date, chosen: Mapping[str, str], currency: str | None) -> str:
    """The one currency of the day's figures; several are never added."""
    filters = "".join(f" and {column} = %({column})s" for column in chosen)
    cursor.execute(CURRENCIES.format(filters=filters), {"metric": metric.name, "day": day, **chosen})
    found = [row["currency_code"] for row in cursor.fetchall()]
    if currency is None and len(found) > 1:
        raise UsageError(
            f"{metric.name} of {day} is in several currencies",
            cause=", ".join(found),
            next="choose one with --currency",
        )
    return currency or (found[0] if found else "")


def _steps(figures: list[Any], parts: list[Any]) -> tuple[list[Step], Decimal]:
    """Figures with the receipts that entered and left at the same moment."""
    steps = []
    unexplained = before = Decimal(0)
    for figure in figures:
        own = [part for part in parts if part["known_at"] == figure["known_at"]]
        causes: dict[str, Decimal] = {}
        for part in own:
            causes[part["cause"]] = causes.get(part["cause"], Decimal(0)) + part["amount"]
        delta = figure["value"] - before
        unexplained += abs(delta - sum(causes.values(), Decimal(0)))
        cause = max(causes, key=lambda name: abs(causes[name]), default="unknown")
        receipts = sum(part["receipts"] for part in own)
        steps.append(Step(figure["known_at"], figure["value"], delta, cause, causes, receipts))
        before = figure["value"]
    return steps, unexplained
