"""
The catalogue page: where do I find which figure, who answers for it, and which source is the one of record.

Comes in: settings. Goes out: what the template shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from panpan.catalogue import Entry, Source, entries, sources
from panpan.governance.score import Score, score
from panpan.settings import Settings
from transforms.periods import business_today

MARKS = {"approved": "good", "review overdue": "warn", "draft": "warn"}


@dataclass(frozen=True)
class View:
    """Figures by area, the sources, how far there is one truth, and the day the receipts and steps are shown of."""

    areas: dict[str, list[Entry]]
    sources: list[Source]
    score: Score
    day: date
    marks: dict[str, str]


def view(settings: Settings) -> View:
    """The page as of now."""
    today = business_today(settings)
    areas: dict[str, list[Entry]] = {}
    for entry in entries(settings):
        areas.setdefault(entry.area, []).append(entry)
    return View(areas, sources(settings), score(settings, today), today, MARKS)
