"""
What a source feeds: from its contract over core and marts to metrics, questions, dashboards and alerts.

Comes in: a contract, and the one it is to become. Goes out: the columns that change, and everything that reads what the
source sends. It goes by tables, not by columns: what is listed may be touched, what is not listed can't be.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from panpan.errors import UsageError
from panpan.governance.graph import LAYERS, downstream, load_graph
from panpan.settings import Settings
from transforms.contract import Contract, Value, load_contract, load_contracts


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
    touched = downstream(load_graph(settings), [f"source.{source}"]).values()
    names = {layer: sorted(node.name for node in touched if node.layer == layer) for layer in LAYERS}
    return Impact(
        source,
        _changed_columns(contracts[source], load_contract(becomes)) if becomes else [],
        names["core"],
        names["marts"],
        names["metric"],
        names["question"],
        names["dashboard"],
        names["alert"],
    )


def _changed_columns(now: Contract, then: Contract) -> list[str]:
    """entity.column of every column that is new, gone or read in another way."""
    before, after = _columns(now), _columns(then)
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _columns(contract: Contract) -> dict[str, Value]:
    return {f"{each.entity}.{name}": value for each in contract.entities for name, value in each.columns.items()}
