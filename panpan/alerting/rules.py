"""
Alert rules as files: rules/<name>.yaml with a select beside it, and the home's own in alerts/rules.

A rule's select reads `moments` (moment, day), a relation of one moment when the rule is judged and of many in a
backtest, so both ask the very same text. A rule about a metric reads `figures` too: the metric compiler's own rows. It
gives one row per moment and label: the label columns, title, value, and as the rule says level, unit, currency_code,
source or sources, and cell (the row of figures its value is) or plan_id.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from panpan.alerting.machine import Seen, Timing
from panpan.errors import ContractError, UsageError
from panpan.settings import Settings
from transforms.compiler import Query, compile_query
from transforms.periods import spelled

FOLDER = Path(__file__).parent / "rules"
LANGUAGES = ("en", "es")
DURATION = re.compile(r"(\d+)\s*(m|h|d)")
UNITS = {"m": "minutes", "h": "hours", "d": "days"}

Language = Literal["en", "es"]
Format = Literal["quantity", "money", "share", "count", "hours", "verdict"]


def duration(text: str) -> timedelta:
    """30m, 2h, 1d. Errors: ValueError for anything else."""
    found = DURATION.fullmatch(str(text).strip())
    if found is None:
        raise ValueError(f"{text!r} is no duration; expected 30m, 2h or 1d")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


Duration = Annotated[timedelta, BeforeValidator(duration)]
Words = dict[Language, str]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Level(_Strict):
    """Where it is over: a share of the level, so many units beyond it, or a value of its own."""

    times: Decimal | None = None
    plus: Decimal | None = None
    at: Decimal | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Level:
        if sum(each is not None for each in (self.times, self.plus, self.at)) != 1:
            raise ValueError("says exactly one of times, plus, at")
        return self

    def of(self, level: Decimal) -> Decimal:
        if self.at is not None:
            return self.at
        return level * self.times if self.times is not None else level + (self.plus or 0)


class Figures(_Strict):
    """Which figures of the compiler a rule's select reads: a metric, split, of so many days or months before."""

    metric: str
    by: tuple[str, ...] = ()
    days: int | None = Field(None, ge=1)
    months: int | None = Field(None, ge=1)

    def query(self, first: date, last: date) -> Query:
        """The question for moments from the first day to the last; a level is asked as it is now."""
        if self.months:
            first = first.replace(day=1)
            for _ in range(self.months):
                first = (first - timedelta(days=1)).replace(day=1)
            return Query(self.metric, self.by, period=spelled(first, last))
        if self.days:
            return Query(self.metric, self.by, period=spelled(first - timedelta(days=self.days), last))
        return Query(self.metric, self.by)

    @model_validator(mode="after")
    def _can_be_asked(self) -> Figures:
        try:
            compile_query(self.query(date(2026, 1, 1), date(2026, 1, 1)), date(2026, 1, 1))
        except UsageError as error:
            raise ValueError(f"figures: {error.message}: {error.explained_cause()}") from None
        return self


class Rule(_Strict):
    """
    One rule: the question it answers, when it fires and when that is over, who answers for it, who is told.

    figures: what the metric compiler gives its select to read. level: a constant; null when each row of the select
    says its own. sources: patterns of the sources it stands on, where its rows don't name theirs; none: it does not
    need fresh data.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: Words
    question: Words
    advice: Words
    probe: Literal["backups", "disk", "reviews"] | None = None
    sql: str = ""
    figures: Figures | None = None
    labels: tuple[str, ...]
    fires: Literal["below", "above"]
    level: Decimal | None = None
    recovery: Level
    pending: Duration
    steady: Duration
    remind: Duration
    tells_end: bool = True
    format: Format
    sources: tuple[str, ...] = ()
    receipts: str
    owner: str
    to: tuple[str, ...]
    severity: Literal["urgent", "warning", "news"]
    backtest: Literal["hour", "day"] | None = None
    enabled: bool = True

    @model_validator(mode="after")
    def _is_whole(self) -> Rule:
        for field in ("title", "question", "advice"):
            missing = [language for language in LANGUAGES if language not in getattr(self, field)]
            if missing:
                raise ValueError(f"{field} lacks {', '.join(missing)}")
        if bool(self.probe) == bool(self.sql):
            raise ValueError("needs a select beside it or a probe, not both")
        if not self.steady:
            raise ValueError("steady must last a moment: without it a flapping series would be told again and again")
        beyond = self.recovery.of(self.level) if self.level is not None else None
        if beyond is not None and self.level is not None and self._is_breach(beyond, self.level):
            raise ValueError(f"it would be over at {beyond}, where it still fires")
        return self

    @property
    def timing(self) -> Timing:
        return Timing(self.pending, self.steady, self.remind, self.tells_end)

    def judge(self, value: Decimal | None, level: Decimal | None) -> Seen:
        """What a value means: a breach of the level, clear of it, or between. An unknown value changes nothing."""
        if level is None:
            return "clear"
        if value is None:
            return "between"
        if self._is_breach(value, level):
            return "breach"
        over = self.recovery.of(level)
        return "clear" if (value >= over if self.fires == "below" else value <= over) else "between"

    def _is_breach(self, value: Decimal, level: Decimal) -> bool:
        return value < level if self.fires == "below" else value > level


def load_rules(settings: Settings) -> dict[str, Rule]:
    """
    The shipped rules and the home's own by name; one of the home's takes the place of a shipped one of its name.

    Errors: ContractError naming the file and the fault.
    """
    files = {path.stem: path for folder in (FOLDER, settings.own_rules) for path in sorted(folder.glob("*.yaml"))}
    rules = {name: load_rule(path) for name, path in sorted(files.items())}
    return {name: rule for name, rule in rules.items() if rule.enabled}


def load_rule(path: Path) -> Rule:
    """One rule from its file, and its select where one lies beside it."""
    beside = path.with_suffix(".sql")
    try:
        said: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(said, dict):
            raise ValueError("not a YAML mapping")
        text = beside.read_text(encoding="utf-8").strip() if beside.exists() else ""
        return Rule(**{**said, "name": path.stem, "sql": text})
    except (OSError, yaml.YAMLError, ValidationError, ValueError, TypeError) as error:
        raise ContractError(f"alert rule {path.name} is wrong", cause=str(error), next=f"correct {path}") from error


def find_rule(settings: Settings, name: str) -> Rule:
    """A rule by name. Errors: UsageError naming the known ones."""
    rules = load_rules(settings)
    if name not in rules:
        raise UsageError(f"there is no alert rule {name!r}", cause=f"known: {', '.join(rules)}")
    return rules[name]
