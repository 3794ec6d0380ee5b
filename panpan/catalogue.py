"""
Where do I find which figure: every metric with who answers for it, its source of record and where it is shown.

Comes in: metrics, sources, dashboards, the change log. Goes out: entries, generated each time, so they can't be stale.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from metabase.catalogue import load_catalogue
from panpan.governance.approval import standings
from panpan.settings import Settings
from transforms.contract import load_contracts
from transforms.metrics import load_metrics

AREAS = (
    ("Sales", ("revenue", "gross_sales", "discounts", "refunds", "tickets", "items", "average_ticket")),
    ("Customers", ("customer", "retention", "churn")),
    ("Stock", ("inventory", "stock", "cover", "waste", "turnover")),
)
REST = "Data"


@dataclass(frozen=True)
class Entry:
    """One figure of the business."""

    name: str
    area: str
    question: str
    definition: str
    unit: str
    version: int
    owner: str
    system_of_record: str
    reference_only: tuple[str, ...]
    also_called: tuple[str, ...]
    split_by: tuple[str, ...]
    state: str
    approved_by: str | None
    review_due: date | None
    dashboards: tuple[tuple[str, str], ...]  # name, title
    leads_to_receipts: bool


@dataclass(frozen=True)
class Source:
    """One source as the catalogue shows it."""

    source: str
    title: str
    owner: str
    system: str
    sends: tuple[str, ...]


def entries(settings: Settings) -> list[Entry]:
    """Every metric, by area and name."""
    states, shown = standings(settings), _dashboards()
    today = date.today()
    found = [
        Entry(
            name,
            _area(name),
            metric.question,
            " ".join(metric.definition.split()),
            metric.unit,
            metric.version,
            metric.owner,
            metric.system_of_record,
            tuple(metric.reference_only),
            tuple(metric.other_names),
            tuple(metric.dimensions),
            states[name].word(today),
            states[name].approved_by,
            states[name].review_due,
            tuple(shown.get(name, ())),
            metric.receipt_expression is not None,
        )
        for name, metric in load_metrics().items()
    ]
    order = [*(area for area, _ in AREAS), REST]
    return sorted(found, key=lambda each: (order.index(each.area), each.name))


def sources(settings: Settings) -> list[Source]:
    """Every source there is a contract for."""
    return [
        Source(each.source, each.title, each.owner, each.system, tuple(e.kind.replace("_", " ") for e in each.entities))
        for each in load_contracts(settings.own_contracts).values()
    ]


def _area(name: str) -> str:
    return next((area for area, words in AREAS if any(word in name for word in words)), REST)


def _dashboards() -> dict[str, list[tuple[str, str]]]:
    """Dashboards by the metrics their questions show."""
    catalogue = load_catalogue()
    found: dict[str, list[tuple[str, str]]] = {}
    for name, dashboard in catalogue.dashboards.items():
        for question in dict.fromkeys(card.question for tab in dashboard.tabs for card in tab.cards if card.question):
            metric = catalogue.questions[question].metric
            if metric and (name, dashboard.title) not in found.setdefault(metric, []):
                found[metric].append((name, dashboard.title))
    return found
