"""
Words for periods into days: `yesterday`, `last-week`, `2026-05`, `2026-Q2`, `2026-05-01..2026-06-30`, `all`.
"""

from __future__ import annotations

import re
from datetime import date, timedelta

from panpan.errors import UsageError

FIRST, LAST = date(1900, 1, 1), date(9999, 12, 30)


def days_of(period: str, today: date) -> tuple[date, date]:
    """
    First and last day (both included) of a period, as of a given day.

    Errors: UsageError naming the forms there are.
    """
    monday = today - timedelta(days=today.weekday())
    words = {
        "today": (today, today),
        "yesterday": (today - timedelta(days=1), today - timedelta(days=1)),
        "last-week": (monday - timedelta(days=7), monday - timedelta(days=1)),
        "month-to-date": (today.replace(day=1), today),
        "all": (FIRST, LAST),
    }
    if period in words:
        return words[period]
    try:
        return _spelled(period)
    except ValueError:
        raise UsageError(
            f"{period!r} is no period",
            cause=f"known: {', '.join(words)}, 2026-05-31, 2026-05, 2026-Q2, 2026, 2026-05-01..2026-06-30",
        ) from None


def _spelled(period: str) -> tuple[date, date]:
    if ".." in period:
        first, last = (date.fromisoformat(part) for part in period.split(".."))
        if last < first:
            raise ValueError
        return first, last
    if quarter := re.fullmatch(r"(\d{4})-Q([1-4])", period):
        month = int(quarter[2]) * 3 - 2
        return date(int(quarter[1]), month, 1), _month_end(date(int(quarter[1]), month + 2, 1))
    if re.fullmatch(r"\d{4}-\d{2}", period):
        first = date.fromisoformat(f"{period}-01")
        return first, _month_end(first)
    if re.fullmatch(r"\d{4}", period):
        return date(int(period), 1, 1), date(int(period), 12, 31)
    day = date.fromisoformat(period)
    return day, day


def _month_end(first: date) -> date:
    return (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
