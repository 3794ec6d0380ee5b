"""
Metrics: one definition each in metrics/*.yaml, compiled to one SQL text.

Comes in: a metric's name, dimensions, filters and a period. Goes out: its values, with the SQL and a plan id.
Amounts in different currencies are never added: where several occur, each row says its currency_code.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml
from psycopg2.extras import RealDictCursor
from pydantic import BaseModel, ConfigDict, ValidationError

from db.connection import connect
from panpan.errors import ContractError, UsageError
from panpan.settings import Settings
from transforms.periods import days_of

FOLDER = Path(__file__).parent / "metrics"
CURRENCY = "currency_code"


class Metric(BaseModel):
    """A metric's definition: what it answers, how it is computed, who answers for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    question: str
    definition: str
    unit: str
    mart: str
    expression: str
    day_column: str | None
    dimensions: dict[str, str]
    owner: str
    system_of_record: str
    version: int
    receipt_expression: str | None = None  # what one receipt adds to it, over the columns of core.sales


@dataclass(frozen=True)
class Answer:
    """A metric's values: one row per combination of the asked dimensions, each with `value`."""

    metric: Metric
    plan_id: str
    sql: str
    as_of: datetime | None
    rows: list[dict[str, Any]]


def load_metrics() -> dict[str, Metric]:
    """All metrics by name. Errors: ContractError naming the file and the fault."""
    metrics = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        try:
            metric = Metric.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (ValidationError, yaml.YAMLError) as error:
            raise ContractError(f"metric {path.name} is wrong", next=f"correct {path}") from error
        metrics[metric.name] = metric
    return metrics


def find_metric(name: str) -> Metric:
    """A metric by name. Errors: UsageError naming the known ones."""
    metrics = load_metrics()
    if name not in metrics:
        raise UsageError(f"there is no metric {name!r}", cause=f"known: {', '.join(metrics)}")
    return metrics[name]


def value(settings: Settings, name: str, by: list[str], where: dict[str, str], period: str, today: date) -> Answer:
    """
    Compute a metric as role bi.

    Errors: UsageError for an unknown metric, dimension or period.
    """
    metric = find_metric(name)
    statement = compile_metric(metric, by, list(where))
    first, last = days_of(period, today)
    parameters = {"first_day": first, "last_day": last, **{f"where_{k}": v for k, v in where.items()}}
    with connect(settings, "bi") as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(statement, parameters)
        rows = [dict(row) for row in cursor.fetchall()]
        cursor.execute("select max(last_load_at) as as_of from marts.data_freshness")
        [newest] = cursor.fetchall()
    plan = hashlib.sha256(repr((statement, sorted(parameters.items()), metric.version)).encode()).hexdigest()
    return Answer(metric, plan[:16], statement, newest["as_of"], rows)


def compile_metric(metric: Metric, by: list[str], where: list[str]) -> str:
    """The metric's SQL text; values go in as parameters, names only from its definition."""
    for dimension in [*by, *where]:
        if dimension not in metric.dimensions:
            raise UsageError(
                f"{metric.name} has no dimension {dimension!r}",
                cause=f"known: {', '.join(metric.dimensions)}",
            )
    dimensions = {name: metric.dimensions[name] for name in by}
    if metric.unit == "currency":
        dimensions[CURRENCY] = CURRENCY
    selected = [f"{expression} as {name}" for name, expression in dimensions.items()]
    conditions = [f"({metric.dimensions[name]})::text = %(where_{name})s" for name in where]
    if metric.day_column:
        conditions.append(f"{metric.day_column} between %(first_day)s and %(last_day)s")
    lines = [
        f"select {', '.join([*selected, f'{metric.expression} as value'])}",
        f"from marts.{metric.mart}",
        *([f"where {' and '.join(conditions)}"] if conditions else []),
    ]
    if dimensions:
        places = ", ".join(str(place + 1) for place in range(len(dimensions)))
        lines += [f"group by {places}", f"order by {places}"]
    return "\n".join(lines)
