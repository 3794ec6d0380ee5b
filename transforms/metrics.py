"""
The metric catalogue: one definition each in metrics/*.yaml, and nothing computed here (transforms/compiler.py).

Comes in: the YAML files. Goes out: definitions by name, and what is wrong with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from panpan.errors import ContractError, UsageError
from panpan.settings import home_folder

FOLDER = Path(__file__).parent / "metrics"
CURRENCY = "currency_code"
CURRENCY_UNIT = "currency"
TIME_DIMENSIONS = ("day", "week", "month")
PRODUCT_DIMENSIONS = ("product", "category", "unit")
REVIEWED_EVERY = timedelta(days=92)

AddsUp = Literal["yes", "no", "semi"]
Cell = str | int | date | None  # no float: an amount is written as text


class _Strict(BaseModel):
    """Frozen, and no key that is not known."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Reading(_Strict):
    """One place a metric can be read from: its mart, the expression over it, and what it can be split by there."""

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


class Additive(_Strict):
    """Over what the metric's values may be summed. semi: a level, summed within one moment and never over time."""

    time: AddsUp
    store: AddsUp
    product: AddsUp

    @field_validator("*", mode="before")
    @classmethod
    def _as_word(cls, given: Any) -> Any:
        """YAML reads yes and no as truth values."""
        return {True: "yes", False: "no"}.get(given, given) if isinstance(given, bool) else given


class Asked(_Strict):
    """How an example asks: as `panpan value` would."""

    by: list[str] = []
    where: dict[str, str] = {}
    period: str = "all"

    @field_validator("period", mode="before")
    @classmethod
    def _as_text(cls, given: Any) -> Any:
        return str(given)


class Example(_Strict):
    """An edge case: what holds, the rows it is shown on (transforms/examples.py), and the value or rows it gives."""

    says: str
    given: dict[str, list[dict[str, Cell]]]
    asked: Asked = Asked()
    gives: list[dict[str, Cell]] | str | int | None


class Metric(_Strict):
    """A metric's definition: what it answers, how it is computed, who answers for it."""

    name: str = Field(min_length=1)
    question: str = Field(pattern=r"\?$")
    definition: str = Field(min_length=20)
    unit: str = Field(min_length=1)
    grain: str = Field(min_length=1)
    readings: list[Reading] = Field(min_length=1)
    additive: Additive
    owner: str = Field(min_length=1)
    system_of_record: str = Field(min_length=1)
    reference_only: list[str]  # other sources that report it too: to compare with, never used
    synonyms: dict[Literal["en", "es"], list[str]]  # other words people use for it, by language
    version: int = Field(ge=1)
    approved_by: str = Field(min_length=1)
    approved_on: date
    review_due: date
    examples: list[Example] = Field(min_length=1)
    per_currency: bool = False  # amounts are inside, though it is none itself
    needs_one_of: list[str] = []  # dimensions without one of which the parts can't be put together
    needs_one_of_reason: str | None = None
    receipt_expression: str | None = None  # what one receipt adds to it, over the columns of core.sales

    @property
    def dimensions(self) -> list[str]:
        """Names of all dimensions any reading offers."""
        return list(dict.fromkeys(name for reading in self.readings for name in reading.dimensions))

    @property
    def other_names(self) -> list[str]:
        """What people also call it, in every language."""
        return [text for texts in self.synonyms.values() for text in texts]

    @property
    def is_by_currency(self) -> bool:
        """Whether each currency has a figure of its own."""
        return self.unit == CURRENCY_UNIT or self.per_currency

    def adds_up_over(self, dimension: str) -> bool:
        """Whether values of different ones of a dimension may be summed."""
        if dimension in TIME_DIMENSIONS:
            return self.additive.time == "yes"
        return (self.additive.product if dimension in PRODUCT_DIMENSIONS else self.additive.store) == "yes"


def own_metrics(home: Path) -> Path:
    """Folder of a home's own metrics, put there by `metrics propose`."""
    return home / "metrics"


def load_metrics(folder: Path | None = None) -> dict[str, Metric]:
    """
    All metrics by name: those of a folder, else the shipped ones and the home's own.

    Errors: ContractError naming the file and its faults.
    """
    folders = [folder] if folder else [FOLDER, own_metrics(home_folder())]
    metrics: dict[str, Metric] = {}
    for path in [path for each in folders for path in sorted(each.glob("*.yaml"))]:
        try:
            metric = _read(path, path.stat().st_mtime_ns)
        except (ValidationError, yaml.YAMLError) as error:
            raise ContractError(
                f"metric {path.name} is wrong", cause="; ".join(_faults(error)), next=f"correct {path}"
            ) from error
        metrics.setdefault(metric.name, metric)  # one definition: a shipped one is never replaced
    return metrics


def find_metric(name: str) -> Metric:
    """A metric by name. Errors: UsageError naming the known ones."""
    metrics = load_metrics()
    if name not in metrics:
        raise UsageError(f"there is no metric {name!r}", cause=f"known: {', '.join(metrics)}")
    return metrics[name]


def check_metrics(today: date, folder: Path = FOLDER) -> tuple[dict[str, list[str]], dict[str, date]]:
    """What is wrong with each metric, by its file's name; and those whose review is overdue, with since when."""
    faults: dict[str, list[str]] = {}
    overdue = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            metric = _read(path, path.stat().st_mtime_ns)
        except (ValidationError, yaml.YAMLError) as error:
            faults[path.stem] = list(_faults(error))
            continue
        faults[path.stem] = list(_contradictions(metric, path.stem))
        if metric.review_due < today:
            overdue[path.stem] = metric.review_due
    return {name: found for name, found in faults.items() if found}, overdue


def _contradictions(metric: Metric, file_name: str) -> Iterator[str]:
    """What each field alone does not show."""
    if metric.name != file_name:
        yield f"name is {metric.name}, the file's is {file_name}"
    if metric.review_due > metric.approved_on + REVIEWED_EVERY:
        yield f"review_due is more than {REVIEWED_EVERY.days} days after approved_on"
    for name in metric.needs_one_of:
        if name not in metric.dimensions:
            yield f"needs_one_of names {name}, which is no dimension"
    for language in ("en", "es"):
        if not metric.synonyms.get(language):
            yield f"synonyms.{language} is missing"
    if metric.additive.time == "semi" and not any(reading.takes_last for reading in metric.readings):
        yield "additive over time is semi, and no reading takes_last"
    if metric.receipt_expression and metric.additive.time != "yes":
        yield "receipt_expression is given, and it does not add up over time"


def _faults(error: Exception) -> Iterator[str]:
    """The faults of a file, each with the field it is in."""
    if not isinstance(error, ValidationError):
        yield str(error).replace("\n", " ")
        return
    for each in error.errors():
        place = ".".join(map(str, each["loc"])) or "the file"
        yield f"{place} is missing" if each["type"] == "missing" else f"{place}: {each['msg']}"


@cache
def _read(path: Path, changed_ns: int) -> Metric:
    """One definition; read again only when the file has changed, because every figure asks for it."""
    del changed_ns
    return Metric.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
