"""
What a source feeds: from its contract over core and marts to metrics, questions, dashboards and alerts.

Comes in: a contract, and the one it is to become. Goes out: the columns that change, and everything that reads what the
source sends. It goes by tables, not by columns: what is listed may be touched, what is not listed can't be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from panpan.errors import UsageError
from panpan.settings import CHECKOUT, Settings
from transforms.contract import Contract, Value, load_contract, load_contracts
from transforms.metrics import load_metrics

_READ = re.compile(r"\b(?:from|join)\s+(?:core\.|marts\.)?(\w+)", re.IGNORECASE)
# Persons are put together by transforms/matching from what these kinds send.
PERSONS = ("customers", "customer_sources")
OF_PERSONS = ("customers", "sale_lines")


@dataclass(frozen=True)
class Impact:
    """What a source feeds, by names; `columns` are those that change, empty when no new contract was given."""

    source: str
    columns: list[str]
    core: list[str]
    marts: list[str]
    metrics: list[str]
    questions: list[str]
    dashboards: list[str]
    alerts: list[str]


def impact(settings: Settings, source: str, becomes: Path | None = None) -> Impact:
    """What a change of a source's contract touches. Errors: UsageError for an unknown source; ContractError."""
    contracts = load_contracts(settings.own_contracts)
    if source not in contracts:
        raise UsageError(f"there is no source {source!r}", cause=f"known: {', '.join(contracts)}")
    now = contracts[source]
    columns = _changed_columns(now, load_contract(becomes)) if becomes else []
    kinds = {entity.kind for entity in now.entities}
    persons = set(PERSONS) if kinds & set(OF_PERSONS) else set[str]()
    core = persons | _closure({f"stage_{kind}" for kind in kinds} | persons, _selects("core"))
    marts = _closure(core, _selects("marts"))
    metrics = [name for name, each in load_metrics().items() if {r.mart for r in each.readings} & marts]
    questions = _questions("metabase/questions", marts, metrics)
    alerts = _questions("metabase/alerts/questions", marts, metrics)
    return Impact(
        source,
        columns,
        sorted(core),
        sorted(marts),
        sorted(metrics),
        sorted(questions),
        sorted(_dashboards(questions)),
        sorted(alerts),
    )


def _changed_columns(now: Contract, then: Contract) -> list[str]:
    """entity.column of every column that is new, gone or read in another way."""
    before, after = _columns(now), _columns(then)
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _columns(contract: Contract) -> dict[str, Value]:
    return {f"{each.entity}.{name}": value for each in contract.entities for name, value in each.columns.items()}


def _selects(layer: str) -> dict[str, set[str]]:
    """Tables of a layer by name, with the names of what each reads."""
    found = {}
    for path in sorted((CHECKOUT / "transforms" / layer).glob("*.sql")):
        text = re.sub(r"--.*", "", path.read_text(encoding="utf-8"))
        found[path.stem] = set(_READ.findall(text))
    return found


def _closure(roots: Iterable[str], selects: dict[str, set[str]]) -> set[str]:
    """Tables of a layer that read the roots, or read a table that does."""
    reached, known = set(roots), set[str]()
    while new := {name for name, read in selects.items() if read & reached} - known:
        known |= new
        reached |= new
    return known


def _questions(folder: str, marts: set[str], metrics: list[str]) -> list[str]:
    """Questions whose SQL reads one of the marts, or that show one of the metrics."""
    found = []
    for path in sorted((CHECKOUT / folder).glob("*.yaml")):
        text = path.with_suffix(".sql").read_text(encoding="utf-8") if path.with_suffix(".sql").is_file() else ""
        facts: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        if set(re.findall(r"\bmarts\.(\w+)", text)) & marts or str(facts.get("metric")) in metrics:
            found.append(path.stem)
    return found


def _dashboards(questions: Iterable[str]) -> list[str]:
    names = set(questions)
    found = []
    for path in sorted((CHECKOUT / "metabase" / "dashboards").glob("*.yaml")):
        words = set(re.findall(r"[\w-]+", path.read_text(encoding="utf-8")))
        if words & names:
            found.append(path.stem)
    return found
