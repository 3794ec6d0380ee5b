"""The page of one day's figure says what evolve says, and names a wrong question."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from panpan.errors import UsageError
from panpan.settings import Settings
from panpan.web.evolution import view
from transforms.run import run

SHEET = "Transaction ID,Item,Quantity,Price Per Unit,Total Spent,Payment Method,Location,Transaction Date\n"


@pytest.fixture
def changed_day(warehouse: Settings, deliver: Any) -> Settings:
    """A day whose figure was 2.00 at first and 5.00 after a correction."""
    for total in ("2.0", "5.0"):
        deliver("dirty_cafe", f"{SHEET}T1,Tea,1,2.0,{total},Cash,In-store,2026-03-01\n", settings=warehouse)
        run(warehouse)
    return warehouse


def test_page_shows_each_step_with_its_reason(changed_day: Settings) -> None:
    page = view(changed_day, "revenue", "2026-03-01", {})

    assert [(value, change) for _, value, change, _, _ in page.rows] == [("2.00", "2.00"), ("5.00", "3.00")]
    assert "receipts were corrected (3.00)" in page.rows[1][3]
    assert page.is_explained
    assert page.sentence == "It was 2.00 when it was first known, changed 1 times and is 5.00 now."
    assert page.wide.startswith("<svg")
    assert "3.00" in page.wide


def test_day_nobody_knows_of_is_said_so(changed_day: Settings) -> None:
    page = view(changed_day, "revenue", str(date(1999, 1, 1)), {})

    assert (page.rows, page.sentence) == ([], "Nothing is known of this day.")


@pytest.mark.parametrize(("metric", "day"), [("revenue", "yesterday"), ("nothing", "2026-03-01")])
def test_wrong_question_is_refused(changed_day: Settings, metric: str, day: str) -> None:
    with pytest.raises(UsageError):
        view(changed_day, metric, day, {})
