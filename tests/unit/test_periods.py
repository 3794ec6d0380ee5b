"""Words for periods and comparisons are the days a person would mean."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from panpan.errors import UsageError
from panpan.local.initialise import initialise
from transforms.periods import COMPARISONS, FIRST, LAST, WORDS, business_today, compared_days, days_of, spelled

TODAY = date(2026, 5, 20)  # a Wednesday


@pytest.mark.parametrize(
    ("period", "first", "last"),
    [
        ("today", "2026-05-20", "2026-05-20"),
        ("yesterday", "2026-05-19", "2026-05-19"),
        ("this-week", "2026-05-18", "2026-05-20"),
        ("last-week", "2026-05-11", "2026-05-17"),
        ("month-to-date", "2026-05-01", "2026-05-20"),
        ("last-month", "2026-04-01", "2026-04-30"),
        ("quarter-to-date", "2026-04-01", "2026-05-20"),
        ("last-quarter", "2026-01-01", "2026-03-31"),
        ("year-to-date", "2026-01-01", "2026-05-20"),
        ("last-30-days", "2026-04-20", "2026-05-19"),
        ("last-1-days", "2026-05-19", "2026-05-19"),
        ("2026-02", "2026-02-01", "2026-02-28"),
        ("2026-12", "2026-12-01", "2026-12-31"),
        ("2026-Q4", "2026-10-01", "2026-12-31"),
        ("2026", "2026-01-01", "2026-12-31"),
        ("2026-05-31", "2026-05-31", "2026-05-31"),
        ("2026-05-01..2026-06-30", "2026-05-01", "2026-06-30"),
    ],
)
def test_period_is_these_days(period: str, first: str, last: str) -> None:
    assert days_of(period, TODAY) == (date.fromisoformat(first), date.fromisoformat(last))


def test_every_word_that_help_names_is_known_and_says_itself() -> None:
    assert all(days_of(word, TODAY) for word in WORDS)
    assert days_of("all", TODAY) == (FIRST, LAST)
    for word in WORDS:
        assert days_of(spelled(*days_of(word, TODAY)), date(2030, 1, 1)) == days_of(word, TODAY)


@pytest.mark.parametrize(
    "period",
    ["", "2026-13", "2026-Q5", "2026-02-30", "2026-06-30..2026-05-01", "soon", "last-0-days", "last-9999-days"],
)
def test_what_is_no_period_is_refused(period: str) -> None:
    with pytest.raises(UsageError, match="is no period"):
        days_of(period, date(20, 1, 1) if "9999" in period else TODAY)


@pytest.mark.parametrize(
    ("comparison", "period", "first", "last"),
    [
        ("previous-period", "2026-03", "2026-02-01", "2026-02-28"),
        ("previous-period", "2026-Q1", "2025-10-01", "2025-12-31"),
        ("previous-period", "2026", "2025-01-01", "2025-12-31"),
        ("previous-period", "month-to-date", "2026-04-01", "2026-04-20"),
        ("previous-period", "last-week", "2026-05-04", "2026-05-10"),
        ("previous-period", "2026-05-31", "2026-05-30", "2026-05-30"),
        ("same-period-last-year", "month-to-date", "2025-05-01", "2025-05-20"),
        ("same-period-last-year", "2024-02", "2023-02-01", "2023-02-28"),
        ("same-period-last-year", "2025-02", "2024-02-01", "2024-02-29"),
        ("same-weekday-last-week", "yesterday", "2026-05-12", "2026-05-12"),
        ("same-weekday-last-year", "yesterday", "2025-05-20", "2025-05-20"),
    ],
)
def test_comparison_is_with_these_days(comparison: str, period: str, first: str, last: str) -> None:
    days = days_of(period, TODAY)
    compared, _ = compared_days(comparison, *days)

    assert compared == (date.fromisoformat(first), date.fromisoformat(last))
    if "weekday" in comparison:
        assert compared[0].weekday() == days[0].weekday()


def test_unknown_comparison_names_the_known() -> None:
    with pytest.raises(UsageError, match="no comparison") as refused:
        compared_days("last-decade", TODAY, TODAY)
    assert refused.value.cause == f"known: {', '.join(COMPARISONS)}"


@pytest.mark.parametrize(
    ("zone", "moment", "today"),
    [
        ("UTC", "2026-05-20T23:59", "2026-05-20"),
        ("Europe/Madrid", "2026-05-20T01:59", "2026-05-19"),  # 03:59 there: the tills close at four
        ("Europe/Madrid", "2026-05-20T02:00", "2026-05-20"),
        ("America/New_York", "2026-05-20T03:00", "2026-05-19"),
    ],
)
def test_today_is_what_it_is_for_the_business(tmp_path: Path, zone: str, moment: str, today: str) -> None:
    settings: Any = initialise(tmp_path / "home").model_copy(update={"report_time_zone": zone})

    now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert business_today(settings, now) == date.fromisoformat(today)
