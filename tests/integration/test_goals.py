"""Goals on a small business whose figures are known: base, target, value by day, where it should be, verdict."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from db.connection import connect
from panpan.errors import ContractError
from panpan.settings import Settings
from transforms.goals import FOLDER, Goal, load_goals, read_progress, refresh_goals
from transforms.metrics import find_metric
from transforms.run import run
from transforms.trace import trace

TILL = "Transaction ID,Event Type,Date,Time,Location,SKU,Item,Qty,Gross Sales,Discounts,Net Sales,Tax,Customer ID\n"
REVENUE = Goal(
    name="more",
    title="Sell half as much again in April as in March",
    metric="revenue",
    where={"currency": "EUR"},
    base_period="2026-03",
    change_percent=50,
    start=date(2026, 4, 1),
    end=date(2026, 4, 30),
    measured="added up since the start",
    owner="Owner",
)
RETENTION = Goal(
    name="loyal",
    title="Keep more customers",
    metric="retention_rate",
    where={},
    base_period="2026-02",
    change_percent=20,
    start=date(2026, 3, 1),
    end=date(2026, 4, 30),
    measured="by the last whole month",
    owner="Owner",
)


@pytest.fixture
def sold(warehouse: Settings, deliver: Any) -> Settings:
    """10 euros on every day from February to April 20th; customer A always, B in January and February."""
    days = [date(2026, 1, 31) + timedelta(days=count) for count in range(80)]
    lines = [
        f"{n},Payment,{day},12:00:00,PanPan Centro,BUN,Bun,1,10,0,10,1,{'B' if day.month < 3 and n % 2 else 'A'}\n"
        for n, day in enumerate(days)
    ]
    deliver("pos", TILL + "".join(lines), settings=warehouse)
    run(warehouse)
    return warehouse


def test_goal_that_adds_up_is_followed_day_by_day(sold: Settings, ask: Any) -> None:
    refresh_goals(sold, date(2026, 5, 3), [REVENUE])

    [newest] = read_progress(sold)
    assert (newest["day"], newest["base_value"], newest["target_value"]) == (date(2026, 4, 20), 310, 465)
    assert (newest["value"], newest["expected_value"], newest["verdict"]) == (200, 310, "behind")
    assert ask("select count(*), min(day), min(value) from marts.goal_progress") == [(20, date(2026, 4, 1), 10)]
    for plan, value in ((newest["plan_id"], 200), (newest["base_plan_id"], 310)):
        found = trace(sold, f"plan:{plan}", date(2026, 5, 3))
        assert (found.value, found.is_equal) == (value, True)


def test_goal_of_a_month_takes_the_last_one_that_is_over(sold: Settings) -> None:
    refresh_goals(sold, date(2026, 4, 10), [RETENTION])

    [newest] = read_progress(sold)
    # January's only customer came in February: 1. Of February's two one came in March: 0.5.
    assert (newest["base_value"], newest["target_value"]) == (Decimal(1), Decimal("1.2"))
    assert (newest["day"], newest["value"], newest["verdict"]) == (date(2026, 4, 10), Decimal("0.5"), "behind")
    assert newest["expected_value"] == Decimal("1.1344"), "41 of 61 days of the way from 1 to 1.2"


def test_second_refresh_changes_nothing_and_a_correction_reaches_back(sold: Settings, deliver: Any, ask: Any) -> None:
    refresh_goals(sold, date(2026, 5, 3), [REVENUE])
    assert refresh_goals(sold, date(2026, 5, 4), [REVENUE]) == 0

    late = "L1,Payment,2026-04-02,12:00:00,PanPan Centro,BUN,Bun,1,500,0,500,1,A\n"
    deliver("pos", TILL + late, settings=sold)
    run(sold)
    refresh_goals(sold, date(2026, 5, 4), [REVENUE])

    assert ask("select value from marts.goal_progress where day = '2026-04-03'") == [(530,)]
    assert read_progress(sold)[0]["verdict"] == "on track"
    assert refresh_goals(sold, date(2026, 5, 4), []) == 20, "a goal that is no more leaves"


def test_last_day_says_reached_or_missed(sold: Settings) -> None:
    ended = REVENUE.model_copy(update={"end": date(2026, 4, 20), "change_percent": -50})
    refresh_goals(sold, date(2026, 5, 3), [ended])

    [newest] = read_progress(sold)
    assert (newest["value"], newest["target_value"], newest["verdict"]) == (200, 155, "missed")


def test_business_without_figures_has_no_progress_and_no_error(warehouse: Settings) -> None:
    refresh_goals(warehouse, date(2026, 11, 20))

    assert read_progress(warehouse) == []


def test_goals_of_the_catalogue_are_those_of_the_business() -> None:
    goals = {goal.metric: goal for goal in load_goals()}

    assert {name: goal.change_percent for name, goal in goals.items()} == {
        "revenue": 15,
        "inventory_cost": -10,
        "retention_rate": 20,
    }
    assert all(find_metric(goal.metric).owner and goal.end > goal.start for goal in goals.values())


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("metric: customers", "does not add up over time"),
        ("where: {}", "an amount needs where"),
        ("end: 2026-01-01", "ends before it starts"),
        ("moon_phase: full", "moon_phase"),
    ],
)
def test_goal_that_can_not_be_is_refused(tmp_path: Path, line: str, fault: str) -> None:
    text = (FOLDER / "revenue_up.yaml").read_text(encoding="utf-8")
    (tmp_path / "revenue_up.yaml").write_text(f"{text}{line}\n", encoding="utf-8")

    with pytest.raises(ContractError) as refused:
        load_goals(tmp_path)
    assert fault in str(refused.value.cause)


def test_only_the_worker_writes_progress(sold: Settings) -> None:
    with (
        pytest.raises(Exception, match=r"permission denied|read-only"),
        connect(sold, "bi") as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("delete from marts.goal_progress")
