"""
The questions and dashboards as files: read, checked, and handed on as typed objects.

Comes in: questions/<name>.yaml with <name>.sql or cells of a metric, dashboards/<name>.yaml. Goes out: `Catalogue`,
which both the preview and the provisioning of a Metabase server read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from metabase.compiled import Cells, compiled_sql, definition_of
from metabase.parameters import KNOWN, NOT_CODE, check_notation, tag_names
from panpan.errors import ContractError, UsageError
from transforms.metrics import find_metric

FOLDER = Path(__file__).parent
GRID_COLUMNS = 24  # Metabase's own
TABLE = re.compile(r"\b(?:from|join)\s+([\w.\"]+)")
STEP = re.compile(r"(?:\bwith\s+|,\s*)(\w+)\s+as\s*\(")

Kind = Literal["line", "bar", "row", "table", "scalar"]
Format = Literal[
    "text", "word", "money", "count", "quantity", "share", "days", "hours", "minutes", "date", "month", "moment"
]
Tone = Literal["good", "warn", "bad"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(_Strict):
    """A column of the answer: its title and how its values are written. Hidden ones are in downloads only."""

    name: str
    title: str
    format: Format
    hidden: bool = False


class Compare(_Strict):
    """What stands beside a single figure: its change, the change in points, or the whole it is part of."""

    column: str
    as_: Literal["change", "points", "of"]
    label: str

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=lambda name: name.rstrip("_"))


class Goal(_Strict):
    """A dashed line of what should be: a column of the answer, or one number for ever. Only without a series."""

    label: str
    column: str | None = None
    value: Decimal | None = None


class Mark(_Strict):
    """Which words of a column are good, worrying or bad news."""

    column: str
    tones: dict[str, Tone]


class Display(_Strict):
    """
    How the answer is drawn. `x` is the axis of time or names (for a single figure: its day), `y` the figure,
    `series` what the colours tell apart and `series_key` the id that keeps a colour stable.
    """

    kind: Kind
    x: str | None = None
    y: str | None = None
    series: str | None = None
    series_key: str | None = None
    compare: Compare | None = None
    mark: Mark | None = None
    goal: Goal | None = None
    bar: str | None = None
    alarm_above: int | None = None
    adds_up: bool = True  # whether the figures of a chart may be summed, as averages and shares may not

    @model_validator(mode="after")
    def _goal_fits(self) -> Display:
        if self.goal and (self.series or self.kind not in ("line", "bar")):
            raise ValueError("a goal needs a line or bar chart without a series")
        if self.goal and (self.goal.column is None) == (self.goal.value is None):
            raise ValueError("a goal is either a column or a value")
        return self

    def columns(self) -> list[str]:
        """Every column the display needs."""
        named = [self.x, self.y, self.series, self.series_key, self.bar]
        named += [self.compare.column if self.compare else None, self.mark.column if self.mark else None]
        named += [self.goal.column if self.goal else None]
        return [name for name in named if name]


class Question(_Strict):
    """One question: what it asks, what its figures mean, who owns them, its SQL and its picture."""

    name: str
    title: str
    question: str
    definition: str
    owner: str
    unit: str
    reads: tuple[str, ...]
    system_of_record: str
    metric: str | None = None  # of the catalogue, where its figures are that metric's: leads to their receipts
    cells: Cells | None = None  # where all figures are cells of that metric: the SQL is compiled from the catalogue
    sources: tuple[str, ...] = ()  # patterns of source names, where the mart itself does not say
    display: Display
    columns: tuple[Column, ...]
    sql: str

    @property
    def parameters(self) -> list[str]:
        """The filters this question understands."""
        return tag_names(self.sql)

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


class Filter(_Strict):
    """A filter of a dashboard, with Metabase's parameter type."""

    name: str
    title: str
    type: Literal["string/=", "date/single"]


class Card(_Strict):
    """A place on the grid, holding a question, a heading or a text."""

    row: int
    col: int
    size_x: int
    size_y: int
    question: str | None = None
    heading: str | None = None
    text: str | None = None


class Tab(_Strict):
    title: str
    cards: tuple[Card, ...]


class Dashboard(_Strict):
    """A page of cards for named readers."""

    name: str
    title: str
    description: str
    readers: str
    filters: tuple[Filter, ...] = ()
    tabs: tuple[Tab, ...]

    def cards(self) -> list[Card]:
        return [card for tab in self.tabs for card in tab.cards]

    def question_names(self) -> list[str]:
        return [card.question for card in self.cards() if card.question]


@dataclass(frozen=True)
class Catalogue:
    """All questions and dashboards by name, in the order readers meet them."""

    questions: dict[str, Question]
    dashboards: dict[str, Dashboard]


DASHBOARD_ORDER = ("sales", "customers", "inventory", "goals", "trust")  # others follow by name


def load_catalogue(folder: Path = FOLDER) -> Catalogue:
    """
    Read and check every file.

    Errors: ContractError naming the file and what is wrong with it.
    """
    questions = {path.stem: load_question(path) for path in sorted((folder / "questions").glob("*.yaml"))}
    without_words = {path.stem for path in (folder / "questions").glob("*.sql")} - questions.keys()
    if without_words:
        raise ContractError(f"questions without a .yaml beside their .sql: {', '.join(sorted(without_words))}")
    found = {path.stem: load_dashboard(path, questions) for path in sorted((folder / "dashboards").glob("*.yaml"))}
    first = [name for name in DASHBOARD_ORDER if name in found]
    names = first + [name for name in found if name not in first]
    return Catalogue(questions, {name: found[name] for name in names})


def load_question(path: Path) -> Question:
    """One question: its words and its SQL, which is a file beside them or compiled from the catalogue."""
    try:
        words = _mapping(path)
        question = Question(name=path.stem, **(_compiled(words) if "cells" in words else _written(path, words)))
        check_sql(question)
    except (OSError, TypeError, ValidationError, ContractError, UsageError) as error:
        raise ContractError(f"question {path.name} is wrong", cause=_reason(error)) from error
    missing = [name for name in question.display.columns() if name not in {c.name for c in question.columns}]
    if missing:
        raise ContractError(f"question {path.name} is wrong", cause=f"display needs unlisted columns {missing}")
    return question


def _written(path: Path, words: dict[str, Any]) -> dict[str, Any]:
    return {**words, "sql": path.with_suffix(".sql").read_text(encoding="utf-8").strip()}


def _compiled(words: dict[str, Any]) -> dict[str, Any]:
    """What a compiled question means, who owns it and what it reads is the catalogue's to say."""
    said = [name for name in ("unit", "owner", "reads", "system_of_record") if name in words]
    if said:
        raise ContractError(f"the catalogue says {', '.join(said)} of a question with cells")
    metric, cells = find_metric(str(words.get("metric"))), Cells.model_validate(words["cells"])
    sql = compiled_sql(metric.name, cells)
    return {
        **words,
        "cells": cells,
        "definition": definition_of(metric, words.get("definition", "")),
        "owner": metric.owner,
        "unit": "amount in the currency shown" if metric.unit == "currency" else metric.unit,
        "system_of_record": metric.system_of_record,
        "reads": sorted(set(TABLE.findall(NOT_CODE.sub(" ", sql))) - set(STEP.findall(sql))),
        "sql": sql,
    }


def load_dashboard(path: Path, questions: dict[str, Question]) -> Dashboard:
    """One dashboard; each of its cards must fit the grid and show something that exists."""
    try:
        dashboard = Dashboard(name=path.stem, **_mapping(path))
    except (OSError, TypeError, ValidationError) as error:
        raise ContractError(f"dashboard {path.name} is wrong", cause=_reason(error)) from error
    faults = [fault for card in dashboard.cards() for fault in _card_faults(card, questions)]
    faults += [f"unknown filter {f.name!r}" for f in dashboard.filters if f.name not in KNOWN]
    faults += [f"two cards overlap in tab {tab.title!r}" for tab in dashboard.tabs if _overlap(tab)]
    if faults:
        raise ContractError(f"dashboard {path.name} is wrong", cause="; ".join(faults))
    return dashboard


def check_sql(question: Question) -> None:
    """One select, reading the marts it says and nothing else. Role bi enforces it; this says so earlier."""
    check_notation(question.sql)
    if not question.sql.startswith("-- One row"):
        raise ContractError("the first line must say what one row is: -- One row per ...")
    code = NOT_CODE.sub(" ", question.sql)
    if ";" in code or "/*" in code or "$$" in code or not re.match(r"\s*(with|select)\b", code):
        raise ContractError("a question is one select: no semicolon, no /* */, no $$")
    tables = set(TABLE.findall(code)) - set(STEP.findall(code))
    if tables != set(question.reads) or not all(table.startswith("marts.") for table in tables):
        raise ContractError(f"reads {sorted(tables)}, but says {sorted(question.reads)}; only marts may be read")


def _card_faults(card: Card, questions: dict[str, Question]) -> list[str]:
    faults = []
    if sum(part is not None for part in (card.question, card.heading, card.text)) != 1:
        faults.append(f"card at row {card.row} must hold exactly one of question, heading, text")
    if card.question is not None and card.question not in questions:
        faults.append(f"unknown question {card.question!r}")
    if min(card.row, card.col) < 0 or min(card.size_x, card.size_y) < 1 or card.col + card.size_x > GRID_COLUMNS:
        faults.append(f"card at row {card.row}, column {card.col} leaves the grid of {GRID_COLUMNS} columns")
    return faults


def _overlap(tab: Tab) -> bool:
    cells = [
        (row, col)
        for card in tab.cards
        for row in range(card.row, card.row + card.size_y)
        for col in range(card.col, card.col + card.size_x)
    ]
    return len(cells) != len(set(cells))


def _mapping(path: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ContractError("not readable as YAML", cause=str(error)) from error
    if not isinstance(value, dict):
        raise ContractError("not a YAML mapping")
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    return str(error)
