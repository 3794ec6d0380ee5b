"""
The metric catalogue: one definition each in metrics/*.yaml, and nothing computed here (transforms/compiler.py).

Comes in: the YAML files. Goes out: definitions by name.
"""

from __future__ import annotations

from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from panpan.errors import ContractError, UsageError

FOLDER = Path(__file__).parent / "metrics"
CURRENCY = "currency_code"
TIME_DIMENSIONS = ("day", "week", "month")
PRODUCT_DIMENSIONS = ("product", "category", "unit")

AddsUp = Literal["yes", "no", "semi"]


class Reading(BaseModel):
    """One place a metric can be read from: its mart, the expression over it, and what it can be split by there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mart: str
    expression: str
    day_column: str | None  # null: a level as it is now
    time_grain: Literal["day", "month"] = "day"
    takes_last: bool = False  # of several months the last one counts: a level at the end of the period
    split_by: dict[str, str] = {}  # dimensions beside those of time: name -> expression

    @cached_property
    def dimensions(self) -> dict[str, str]:
        """Every dimension by name, with its expression."""
        day = self.day_column
        if day is None:
            return self.split_by
        month = {"month": f"date_trunc('month', {day})::date"}
        if self.time_grain == "month":
            return {**month, **self.split_by}
        return {"day": day, "week": f"date_trunc('week', {day})::date", **month, **self.split_by}


class Additive(BaseModel):
    """Over what the metric's values may be summed. semi: over stores and products of one moment, not over time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: AddsUp
    store: AddsUp
    product: AddsUp

    @field_validator("*", mode="before")
    @classmethod
    def _as_word(cls, given: Any) -> Any:
        """YAML reads yes and no as truth values."""
        return {True: "yes", False: "no"}.get(given, given) if isinstance(given, bool) else given


class Metric(BaseModel):
    """A metric's definition: what it answers, how it is computed, who answers for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    question: str
    definition: str
    unit: str
    readings: tuple[Reading, ...]
    additive: Additive
    owner: str
    system_of_record: str
    version: int
    needs_one_of: tuple[str, ...] = ()  # dimensions without one of which the parts can't be put together
    needs_one_of_reason: str | None = None
    receipt_expression: str | None = None  # what one receipt adds to it, over the columns of core.sales

    @property
    def dimensions(self) -> list[str]:
        """Names of all dimensions any reading offers."""
        return list(dict.fromkeys(name for reading in self.readings for name in reading.dimensions))

    def adds_up_over(self, dimension: str) -> bool:
        """Whether values of different ones of a dimension may be summed."""
        if dimension in TIME_DIMENSIONS:
            return self.additive.time == "yes"
        return (self.additive.product if dimension in PRODUCT_DIMENSIONS else self.additive.store) == "yes"


def load_metrics(folder: Path = FOLDER) -> dict[str, Metric]:
    """All metrics by name. Errors: ContractError naming the file and the fault."""
    metrics = [_read(path, path.stat().st_mtime_ns) for path in sorted(folder.glob("*.yaml"))]
    return {metric.name: metric for metric in metrics}


def find_metric(name: str) -> Metric:
    """A metric by name. Errors: UsageError naming the known ones."""
    metrics = load_metrics()
    if name not in metrics:
        raise UsageError(f"there is no metric {name!r}", cause=f"known: {', '.join(metrics)}")
    return metrics[name]


@cache
def _read(path: Path, changed_ns: int) -> Metric:
    """One definition; read again only when the file has changed, because every figure asks for it."""
    del changed_ns
    try:
        return Metric.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        raise ContractError(f"metric {path.name} is wrong", next=f"correct {path}") from error
