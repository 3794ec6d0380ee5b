"""
Loads, runs and kills in any order: nothing is lost, nothing is doubled, no two versions overlap.

Loads end in another order than they began, tell of the same receipts again, older versions after newer ones, and at
equal times; a run is killed at any write of any step (its transaction ends as a killed program's does: nothing of it
stays). INTERLEAVINGS says how many orders are tried (25 unless set).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from panpan.settings import Settings
from transforms import run as flow
from transforms.published import evolve

TRIED = int(os.environ.get("INTERLEAVINGS") or 25)
FIRST_DAY = date(2000, 1, 1)
STEPS = (
    "take_load",
    "merge",
    "create_result",
    "remove",
    "set_column",
    "publish_figures",
    "_finish",
    "_refresh_freshness",
)
RECEIPTS = ("A", "B", "C")


class Killed(BaseException):
    """What a killed run looks like from inside this process."""


@dataclass(frozen=True)
class Version:
    """One receipt in one load: its amount in euros and when the source last changed it, in hours."""

    receipt: str
    euros: int
    hour: int


VERSIONS = st.lists(
    st.builds(Version, st.sampled_from(RECEIPTS), st.integers(1, 9), st.integers(0, 3)),
    min_size=1,
    max_size=3,
    unique_by=lambda version: version.receipt,
)
RUNS = st.one_of(
    st.just(("run",)),
    st.tuples(st.just("kill"), st.sampled_from(STEPS), st.sampled_from((1, 1, 1, 2, 3, 5, 8)), st.booleans()),
)


@st.composite
def interleavings(draw: Any) -> tuple[list[list[Version]], list[tuple[Any, ...]]]:
    """Loads in the order they begin, and events: loads ending in an order of their own, runs and kills between."""
    loads = draw(st.lists(VERSIONS, min_size=1, max_size=4))
    events: list[tuple[Any, ...]] = [("end", place) for place in draw(st.permutations(range(len(loads))))]
    for event in draw(st.lists(RUNS, max_size=4)):
        events.insert(draw(st.integers(0, len(events))), event)
    return loads, events


def orders(example: int, day: date, versions: list[Version]) -> str:
    """A page of the POS API with one order per version."""
    opened = datetime(day.year, day.month, day.day, 10, tzinfo=UTC)
    return json.dumps(
        {
            "orders": [
                {
                    "id": f"{example}-{version.receipt}",
                    "state": "COMPLETED",
                    "location_id": "L-DELIVERY",
                    "created_at": opened.isoformat(),
                    "updated_at": (opened + timedelta(hours=version.hour)).isoformat(),
                    "line_items": [
                        {
                            "name": "Pizza",
                            "quantity": "1",
                            "gross_sales_money": {"amount": version.euros * 100, "currency": "EUR"},
                            "total_money": {"amount": version.euros * 100, "currency": "EUR"},
                        }
                    ],
                }
                for version in versions
            ]
        }
    )


def expected_amounts(loads: list[list[Version]]) -> dict[str, Decimal]:
    """The newest version of each receipt by the source's time; at equal times the one received last."""
    newest: dict[str, tuple[int, int, int]] = {}
    for place, versions in enumerate(loads):
        for version in versions:
            candidate = (version.hour, place, version.euros)
            newest[version.receipt] = max(newest.get(version.receipt, candidate), candidate)
    return {receipt: Decimal(euros) for receipt, (_, _, euros) in newest.items()}


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, step: str, call: int, before: bool) -> Iterator[None]:
    """Ends the run at the given call of a step, before or after it did its work."""
    real, calls = getattr(flow, step), count(1)

    def dying(*arguments: Any, **named: Any) -> Any:
        is_last = next(calls) == call
        if is_last and before:
            raise Killed
        answer = real(*arguments, **named)
        if is_last:
            raise Killed
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(flow, step, dying)
        yield


@pytest.fixture(scope="module")
def kills() -> Iterator[dict[str, int]]:
    found = {"tried": 0, "killed": 0, "runs": 0}
    yield found
    print(f"\ninterleavings: {found}")  # noqa: T201  # how much was really killed


@pytest.fixture(scope="module")
def shared_warehouse(new_warehouse: Any) -> Iterator[Settings]:
    """One warehouse for all orders of events: each has receipts and a day of its own."""
    with new_warehouse() as fresh:
        yield fresh


EXAMPLES = count(1)


@settings(
    max_examples=TRIED,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(interleaving=interleavings())
def test_any_interleaving_of_loads_runs_and_kills_loses_and_doubles_nothing(
    shared_warehouse: Settings,
    deliver: Any,
    ask: Any,
    monkeypatch: pytest.MonkeyPatch,
    kills: dict[str, int],
    interleaving: tuple[list[list[Version]], list[tuple[Any, ...]]],
) -> None:
    loads, events = interleaving
    example = next(EXAMPLES)
    day = FIRST_DAY + timedelta(days=example)
    query: Callable[..., list[tuple[Any, ...]]] = lambda *words: ask(*words, settings=shared_warehouse)  # noqa: E731
    begun = [
        deliver("pos_api", orders(example, day, versions), "orders", settings=shared_warehouse, status="open")
        for versions in loads
    ]
    for event, *details in events:
        if event == "end":
            query("update ops.loads set status = 'received' where load_id = %s", begun[details[0]])
        elif event == "run":
            flow.run(shared_warehouse)
            kills["runs"] += 1
        else:
            with killed_at(monkeypatch, *details):
                try:
                    flow.run(shared_warehouse)
                except Killed:
                    kills["killed"] += 1
        assert query("select coalesce(sum(net_amount), 0) from core.sales where business_date = %s", day) == query(
            "select coalesce(sum(net_amount), 0) from marts.daily_store_sales where business_date = %s", day
        )
    flow.run(shared_warehouse)
    kills["tried"] += 1

    found = query(
        "select split_part(receipt_number, '-', 2), sale.net_amount, sum(line.net_amount), count(*) "
        "from core.sales as sale inner join core.sale_lines as line using (sale_id) "
        "where sale.business_date = %s group by 1, 2",
        day,
    )
    assert sorted(found) == [(r, amount, amount, 1) for r, amount in sorted(expected_amounts(loads).items())]
    assert evolve(shared_warehouse, "revenue", day, {}, None).unexplained == 0
    for table, key in (("sales", "sale_id"), ("sale_lines", "sale_id, line_number")):
        assert query(
            f"select count(*) from core_history.{table} as a inner join core_history.{table} as b using ({key}) "  # noqa: S608
            "where a.business_date = %s and a.known_from < b.known_from "
            "and (a.known_to is null or a.known_to > b.known_from)",
            day,
        ) == [(0,)]
