"""
Which metrics count: proposed by one person, approved by another, reviewed every 92 days.

The files carry the state they were shipped in; the change log carries what happened after. A definition that is not
as it was approved is a draft, whoever changed it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from panpan.errors import ContractError, UsageError
from panpan.governance import definitions
from panpan.governance.log import Change, Entry, append, entries
from panpan.settings import CHECKOUT, Settings
from transforms.metrics import REVIEWED_EVERY, Metric, find_metric, load_metrics, own_metrics

State = Literal["approved", "draft"]
DECISIONS = ("proposal", "approval", "review")


@dataclass(frozen=True)
class Standing:
    """How a metric stands. proposed_by is who asked for the approval that is still open."""

    metric: str
    state: State
    approved_by: str | None
    approved_on: date | None
    review_due: date | None
    proposed_by: str | None = None

    def is_overdue(self, today: date) -> bool:
        """Whether the review should have been."""
        return self.state == "approved" and self.review_due is not None and self.review_due < today

    def word(self, today: date) -> str:
        """approved, draft or review overdue."""
        return "review overdue" if self.is_overdue(today) else self.state


def standings(settings: Settings) -> dict[str, Standing]:
    """How every metric of the catalogue stands, by name."""
    log = entries(settings, ("metric", *DECISIONS))
    return {name: _standing(metric, settings, log) for name, metric in load_metrics().items()}


def drafts(settings: Settings) -> set[str]:
    """Metrics nobody has approved as they are; they may not be shown where figures count as certified."""
    return {name for name, standing in standings(settings).items() if standing.state == "draft"}


def propose(settings: Settings, what: str, who: str, why: str) -> Standing:
    """
    Ask for the approval of a metric: of a file, which then is the home's own draft, or of one that was changed.

    Errors: UsageError for an unknown name or one that is taken, ContractError when the file is no metric.
    """
    path = Path(what)
    name = _take(settings, path) if path.suffix in (".yaml", ".yml") and path.is_file() else find_metric(what).name
    definitions.record(settings, who, why)
    if standings(settings)[name].state == "approved":
        raise UsageError(f"{name} is approved as it is", next=f"panpan metrics review {name} --by NAME")
    _note(settings, "proposal", name, who, why)
    return standings(settings)[name]


def approve(settings: Settings, name: str, who: str, why: str) -> Standing:
    """Let a proposed metric count. Errors: UsageError when nobody proposed it as it is, or the approver did."""
    definitions.record(settings)
    standing = standings(settings)[find_metric(name).name]
    if standing.state == "approved":
        raise UsageError(f"{name} is approved already", cause=f"by {standing.approved_by}")
    if standing.proposed_by is None:
        raise UsageError(
            f"{name} was not proposed as it is now", next=f"panpan metrics propose {name} --by NAME --why REASON"
        )
    if _same_person(standing.proposed_by, who):
        raise UsageError(f"{who} proposed {name}", cause="another person has to approve it")
    _note(settings, "approval", name, who, why)
    return standings(settings)[name]


def review(settings: Settings, name: str, who: str, why: str) -> Standing:
    """Say that an approved metric still means what it should; the next review is due 92 days later."""
    standing = standings(settings)[find_metric(name).name]
    if standing.state == "draft":
        raise UsageError(f"{name} is a draft", next=f"panpan metrics propose {name} --by NAME --why REASON")
    _note(settings, "review", name, who, why)
    return standings(settings)[name]


def _take(settings: Settings, path: Path) -> str:
    """Put a file among the home's own metrics. A metric that was shipped keeps its name."""
    text = path.read_text(encoding="utf-8")
    try:
        metric = Metric.model_validate(yaml.safe_load(text))
    except (ValidationError, yaml.YAMLError) as error:
        raise ContractError(f"{path} is no metric", next="panpan metrics show revenue --json shows one") from error
    shipped = set(load_metrics()) - {each.stem for each in own_metrics(settings.home).glob("*.yaml")}
    if metric.name in shipped or not metric.name.isidentifier():
        raise UsageError(f"{metric.name!r} can't be the name of a metric of your own", cause="it is taken, or no name")
    folder = own_metrics(settings.home)
    folder.mkdir(exist_ok=True)
    (folder / f"{metric.name}.yaml").write_text(text, encoding="utf-8")
    return metric.name


def _note(settings: Settings, kind: str, name: str, who: str, why: str) -> None:
    if not who.strip():
        raise UsageError("nobody is named", next="--by NAME")
    decided = json.dumps({"fingerprint": fingerprint(_file(settings, name)), "version": find_metric(name).version})
    append(settings, [Change(kind, name, None, decided)], who.strip(), why)


def _file(settings: Settings, name: str) -> Path:
    own = own_metrics(settings.home) / f"{name}.yaml"
    return own if own.is_file() else CHECKOUT / "transforms" / "metrics" / f"{name}.yaml"


def fingerprint(path: Path) -> str:
    """What tells one text of a definition from another."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _standing(metric: Metric, settings: Settings, log: list[Entry]) -> Standing:
    path = _file(settings, metric.name)
    now = fingerprint(path)
    decided = [each for each in log if each.kind in DECISIONS and each.subject == metric.name]
    same = [each for each in decided if _decision(each).get("fingerprint") == now]
    approvals = [each for each in same if each.kind == "approval"]
    proposals = [each for each in same if each.kind == "proposal"]
    if approvals:
        by, on = approvals[-1].changed_by, approvals[-1].changed_at.date()
    elif path.is_relative_to(CHECKOUT) and _is_as_shipped(metric, path, log):
        by, on = metric.approved_by, metric.approved_on
    else:
        return Standing(metric.name, "draft", None, None, None, proposals[-1].changed_by if proposals else None)
    reviews = [each.changed_at.date() for each in same if each.kind == "review"]
    first_due = on + REVIEWED_EVERY if approvals else metric.review_due
    due = max([each + REVIEWED_EVERY for each in reviews], default=first_due)
    return Standing(metric.name, "approved", by, on, due)


def _decision(entry: Entry) -> dict[str, Any]:
    decided: dict[str, Any] = json.loads(entry.after or "{}")
    return decided


def _is_as_shipped(metric: Metric, path: Path, log: list[Entry]) -> bool:
    """
    As it was first noted in this home, or a later release: a higher version that its file says was approved anew.
    """
    subject = path.relative_to(CHECKOUT).as_posix()
    noted = [each for each in log if each.kind == "metric" and each.subject == subject and each.after]
    if not noted or noted[0].after == path.read_text(encoding="utf-8"):
        return True
    first = yaml.safe_load(noted[0].after or "")
    return bool(metric.version > first["version"] and metric.approved_on > first["approved_on"])


def _same_person(one: str, other: str) -> bool:
    return " ".join(one.casefold().split()) == " ".join(other.casefold().split())
