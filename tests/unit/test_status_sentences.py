"""Three plain sentences: who reported, who is late, whether yesterday's revenue may still change."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from panpan.status import Day, sentences
from transforms.quality.freshness import Freshness, Level

DAY = date(2026, 11, 20)
STORES = ("Centro", "Norte", "Playa")


def day(expected: tuple[str, ...] = STORES, missing: tuple[str, ...] = (), revenue: str | None = "1234.50") -> Day:
    return Day(DAY, expected, missing, DAY, Decimal(revenue) if revenue else None, "EUR" if revenue else None)


def source(title: str, level: Level, age: str = "26", warn: int = 24) -> Freshness:
    until = datetime(2026, 11, 19, 8, tzinfo=UTC)
    return Freshness(title.lower(), title, "Ana", "core.sales", warn, 48, until, until, until, Decimal(age), level)


FRESH = [source("Delivery", "fresh"), source("Tills", "fresh")]
CASES: list[tuple[int, Day, list[Freshness], list[Any], list[Any], str]] = [
    # who reported
    (0, day(), FRESH, [], [], "All three stores reported."),
    (0, day(("Centro", "Norte")), FRESH, [], [], "Both stores reported."),
    (0, day(("Centro",)), FRESH, [], [], "The only store reported."),
    (0, day(missing=("Norte",)), FRESH, [], [], "Norte has not reported 20 Nov 2026; the other two did."),
    (
        0,
        day(missing=("Norte", "Playa")),
        FRESH,
        [],
        [],
        "Norte and Playa have not reported 20 Nov 2026; the other one did.",
    ),
    (0, day(missing=STORES), FRESH, [], [], "No store has reported 20 Nov 2026 yet."),
    (0, day(()), FRESH, [], [], "No store has reported in the last two weeks; the newest sales are of 20 Nov 2026."),
    # who is late
    (1, day(), FRESH, [], [], "Every source is on time."),
    (1, day(), [], [], [], "Nothing has arrived yet."),
    (1, day(), [source("Delivery, by API", "late"), *FRESH], [], [], "Delivery is 2 h late."),
    (1, day(), [source("Delivery", "late", age="24.2")], [], [], "Delivery is 1 h late."),
    (1, day(), [source("CRM", "silent")], [], [], "CRM is silent since 19 Nov 2026."),
    (1, day(), [source(name, "silent") for name in "ABC"], [], [], "Three sources are silent: A, B and C."),
    # whether it is final
    (2, day(), FRESH, [], [], "Yesterday's revenue of €1,234.50 is final."),
    (2, day(revenue=None), FRESH, [], [], "Yesterday's revenue is final."),
    (2, day(missing=("Norte",)), FRESH, [], [], "Yesterday's revenue of €1,234.50 is not final: Norte is missing."),
    (
        2,
        day(),
        FRESH,
        [{"state": "waiting", "count": 2}, {"state": "held back", "count": 1}],
        [{"state": "failed", "severity": "error", "layer": "marts"}],
        "Yesterday's revenue of €1,234.50 is not final: 2 loads wait to be taken, 1 load is held back by a check, "
        "1 check found wrong figures.",
    ),
    (
        2,
        day(),
        FRESH,
        [{"state": "loaded", "count": 9}],
        [
            {"state": "failed", "severity": "warn", "layer": "core"},
            {"state": "failed", "severity": "error", "layer": "ops"},
        ],
        "Yesterday's revenue of €1,234.50 is final.",
    ),
    (2, day(missing=STORES, revenue=None), FRESH, [], [], "Yesterday's revenue is not final: no store has reported."),
    (2, day(()), FRESH, [], [], "No revenue of yesterday is known."),
]


@pytest.mark.parametrize(
    ("place", "when", "sources", "loads", "checks", "said"), CASES, ids=[case[-1] for case in CASES]
)
def test_sentence(place: int, when: Day, sources: Any, loads: Any, checks: Any, said: str) -> None:
    assert sentences(when, sources, loads, checks)[place] == said
