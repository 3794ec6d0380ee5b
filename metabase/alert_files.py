"""
Metabase's own mails as files: alerts (the second path beside our engine) and dashboards sent on a schedule.

Comes in: alerts/<name>.yaml, alerts/questions/<name>.sql + .yaml. Goes out: typed objects.

An alert's question gives rows only while its limit is broken. Metabase repeats itself at every run while that
lasts; so that nobody gets two mails, alerts with a `quiet_while` give no rows while our own engine is alive.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from metabase.catalogue import FOLDER, Catalogue, Question, load_question
from panpan.errors import ContractError

# Where our engine says that it lives. A mart that does not exist means that there is no engine.
HEARTBEAT = "marts.alert_heartbeat"
QUARTZ = re.compile(r"\S+ \S+ \S+ \S+ \S+ \S+( \S+)?")
ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
# Displays whose goal Metabase finds; on any other a goal alert is accepted and never sent.
GOAL_DISPLAYS = ("line", "bar", "area", "progress")

Recipient = Annotated[str, Field(description="owners, employees, or an address")]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Alert(_Strict):
    """A mail at each `schedule` while the question of the same name has rows."""

    kind: Literal["alert"]
    name: str
    title: str
    why: str
    schedule: str  # Quartz: second minute hour day month weekday [year]
    to: tuple[Recipient, ...]
    condition: Literal["has_result", "goal_above", "goal_below"] = "has_result"
    quiet_while_engine_lives: bool = True
    rule: str  # the rule of our engine that this stands in for


class Report(_Strict):
    """A dashboard by mail, every day or week."""

    kind: Literal["report"]
    name: str
    title: str
    why: str
    dashboard: str
    every: Literal["day", "week"]
    hour: int = Field(ge=0, le=23)
    weekday: Weekday | None = None
    to: tuple[Recipient, ...]


@dataclass(frozen=True)
class Mails:
    """All alerts and reports by name, and the alerts' questions."""

    alerts: dict[str, Alert]
    reports: dict[str, Report]
    questions: dict[str, Question]


_READ: TypeAdapter[Alert | Report] = TypeAdapter(Annotated[Alert | Report, Field(discriminator="kind")])


def load_mails(catalogue: Catalogue, folder: Path = FOLDER) -> Mails:
    """
    Read and check every file.

    Errors: ContractError naming the file and what is wrong with it.
    """
    folder = folder / "alerts"
    questions = {path.stem: load_question(path) for path in sorted((folder / "questions").glob("*.yaml"))}
    found = [_load(path) for path in sorted(folder.glob("*.yaml"))]
    alerts = {each.name: each for each in found if isinstance(each, Alert)}
    reports = {each.name: each for each in found if isinstance(each, Report)}
    for name in sorted(alerts.keys() ^ questions.keys()):
        raise ContractError(f"alert {name!r} has no {'question' if name in alerts else 'file of its own'}")
    for alert in alerts.values():
        check_alert(alert, questions[alert.name])
    for report in reports.values():
        check_report(report, catalogue)
    return Mails(alerts, reports, questions)


def check_alert(alert: Alert, question: Question) -> None:
    """What Metabase would accept without a word and then never send."""
    faults = _recipient_faults(alert.to)
    if not is_quartz(alert.schedule):
        faults.append(f"schedule {alert.schedule!r} is no Quartz expression with ? in one of its two day fields")
    if alert.condition != "has_result" and question.display.kind not in GOAL_DISPLAYS:
        faults.append(f"a goal alert on a {question.display.kind} is never sent")
    if question.parameters:
        faults.append("an alert's question has no filters: nobody would fill them in")
    if faults:
        raise ContractError(f"alert {alert.name} is wrong", cause="; ".join(faults))


def check_report(report: Report, catalogue: Catalogue) -> None:
    faults = _recipient_faults(report.to)
    if report.dashboard not in catalogue.dashboards:
        faults.append(f"unknown dashboard {report.dashboard!r}")
    if (report.every == "week") != (report.weekday is not None):
        faults.append("a weekly report has a weekday, a daily one has none")
    if faults:
        raise ContractError(f"report {report.name} is wrong", cause="; ".join(faults))


def is_quartz(text: str) -> bool:
    """Quartz wants one of its two day fields, and only one, to be a question mark."""
    fields = text.split(" ")
    return QUARTZ.fullmatch(text) is not None and (fields[3] == "?") != (fields[5] == "?")


def alert_sql(question: Question, alert: Alert, *, engine_is_known: bool) -> str:
    """The question's statement; no row while our engine gave a sign of life in the last hours."""
    if not (engine_is_known and alert.quiet_while_engine_lives):
        return question.sql
    heading = [line for line in question.sql.splitlines() if line.startswith("--")]
    return "\n".join(
        [
            *heading,
            f"-- Silent while our own alert engine lives, which says so in {HEARTBEAT}.",
            "select breach.* from (",
            question.sql,
            ") as breach",
            "where not exists (",
            "    select 1 as alive",
            f"    from {HEARTBEAT}",
            "    where last_evaluated_at > now() - interval '3 hours'",
            ")",
        ]
    )


def _recipient_faults(recipients: tuple[str, ...]) -> list[str]:
    wrong = [r for r in recipients if r not in ("owners", "employees") and not ADDRESS.fullmatch(r)]
    faults = [f"recipient {r!r} is neither owners, employees nor an address" for r in wrong]
    return faults if recipients else ["nobody receives it"]


def _load(path: Path) -> Alert | Report:
    try:
        value: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ContractError(f"{path.name} is no YAML mapping")
        return _READ.validate_python({**value, "name": path.stem})
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise ContractError(f"{path.name} is wrong", cause=str(error)) from error
