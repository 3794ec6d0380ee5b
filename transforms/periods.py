"""
Words for periods and comparisons into days: `yesterday`, `last-week`, `quarter-to-date`, `2026-05`, `2026-Q2`, `all`.

Comes in: a word and what day it is for the business. Goes out: first and last day, both included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from panpan.errors import UsageError
from panpan.settings import Settings
from transforms.contract import load_contracts

FIRST, LAST = date(1900, 1, 1), date(9999, 12, 30)
SPELLED = "2026-05-31, 2026-05, 2026-Q2, 2026, 2026-05-01..2026-06-30"
COMPARISONS = ("previous-period", "same-period-last-year", "same-weekday-last-week", "same-weekday-last-year")
WORDS = (
    "today",
    "yesterday",
    "this-week",
    "last-week",
    "month-to-date",
    "last-month",
    "quarter-to-date",
    "last-quarter",
    "year-to-date",
    "last-30-days",
    "all",
)


@dataclass(frozen=True)
class Shift:
    """How far a compared day lies before its partner: days or months."""

    days: int = 0
    months: int = 0

    @property
    def interval(self) -> str:
        return f"interval '{self.months} months'" if self.months else f"interval '{self.days} days'"

    def of(self, expression: str) -> str:
        """The expression of a compared day, moved to its partner."""
        return f"({expression} + {self.interval})::date"

    def has_partner(self, expression: str) -> str:
        """Whether a compared day has one: the 31st of a month has none in a month of 30 days."""
        return f"({self.of(expression)} - {self.interval})::date = {expression}"


def business_today(settings: Settings, now: datetime | None = None) -> date:
    """
    What day it is for the business, in the zone of its reports. A day lasts until its tills close, so at two in the
    morning a shop that closes at four is still at the day before; the contracts of sources in that zone say when.
    """
    zone = settings.report_time_zone
    closings = [each.closing_time for each in load_contracts(settings.own_contracts).values() if each.time_zone == zone]
    closing = max(closings, default=time())
    moment = (now or datetime.now(UTC)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    return (moment - timedelta(hours=closing.hour, minutes=closing.minute)).date()


def days_of(period: str, today: date) -> tuple[date, date]:
    """
    First and last day (both included) of a period, as of a given day. `this-week` and `...-to-date` end today.

    Errors: UsageError naming the forms there are.
    """
    monday, month = today - timedelta(days=today.weekday()), today.replace(day=1)
    quarter = _months_later(month, -((today.month - 1) % 3))
    before = timedelta(days=1)
    words = {
        "today": (today, today),
        "yesterday": (today - before, today - before),
        "this-week": (monday, today),
        "last-week": (monday - timedelta(days=7), monday - before),
        "month-to-date": (month, today),
        "last-month": (_months_later(month, -1), month - before),
        "quarter-to-date": (quarter, today),
        "last-quarter": (_months_later(quarter, -3), quarter - before),
        "year-to-date": (today.replace(month=1, day=1), today),
        "all": (FIRST, LAST),
    }
    if period in words:
        return words[period]
    try:
        return _spelled(period, today)
    except (ValueError, OverflowError):
        raise UsageError(f"{period!r} is no period", cause=f"known: {', '.join(WORDS)}, {SPELLED}") from None


def spelled(first: date, last: date) -> str:
    """The period of these days in words of ours: the day, all, or from..to."""
    if (first, last) == (FIRST, LAST):
        return "all"
    return first.isoformat() if first == last else f"{first}..{last}"


def compared_days(comparison: str, first: date, last: date) -> tuple[tuple[date, date], Shift]:
    """
    The days a period is compared with, and how far they lie back.

    previous-period: the days before; of whole months as many months, of the first days of a month (a month to date)
    the same days of the month before. Errors: UsageError for an unknown comparison.
    """
    if comparison == "same-period-last-year":
        return _months_back(first, last, 12)
    weeks = {"same-weekday-last-week": 1, "same-weekday-last-year": 52}
    if comparison in weeks:
        return _days_back(first, last, 7 * weeks[comparison])
    if comparison != "previous-period":
        raise UsageError(f"{comparison!r} is no comparison", cause=f"known: {', '.join(COMPARISONS)}")
    if first.day == 1 and _is_month_end(last):
        return _months_back(first, last, (last.year - first.year) * 12 + last.month - first.month + 1)
    if first.day == 1 and (first.year, first.month) == (last.year, last.month) and first != last:
        return _months_back(first, last, 1)
    return _days_back(first, last, (last - first).days + 1)


def _spelled(period: str, today: date) -> tuple[date, date]:
    if ".." in period:
        first, last = (date.fromisoformat(part) for part in period.split(".."))
        if last < first:
            raise ValueError
        return first, last
    if days := re.fullmatch(r"last-(\d{1,4})-days", period):
        if int(days[1]) == 0:
            raise ValueError
        return today - timedelta(days=int(days[1])), today - timedelta(days=1)
    if quarter := re.fullmatch(r"(\d{4})-Q([1-4])", period):
        first = date(int(quarter[1]), int(quarter[2]) * 3 - 2, 1)
        return first, _month_end(_months_later(first, 2))
    if re.fullmatch(r"\d{4}-\d{2}", period):
        first = date.fromisoformat(f"{period}-01")
        return first, _month_end(first)
    if re.fullmatch(r"\d{4}", period):
        return date(int(period), 1, 1), date(int(period), 12, 31)
    day = date.fromisoformat(period)
    return day, day


def _days_back(first: date, last: date, days: int) -> tuple[tuple[date, date], Shift]:
    back = timedelta(days=days)
    return (first - back, last - back), Shift(days=days)


def _months_back(first: date, last: date, months: int) -> tuple[tuple[date, date], Shift]:
    """Whole months stay whole: the partner of 2026-03 is 2026-02 up to its last day."""
    ends_month = _is_month_end(last)
    last_before = _months_later(last, -months)
    return (_months_later(first, -months), _month_end(last_before) if ends_month else last_before), Shift(months=months)


def _months_later(day: date, months: int) -> date:
    """The same day of another month, or that month's last."""
    years, month = divmod(day.month - 1 + months, 12)
    first = date(day.year + years, month + 1, 1)
    return first.replace(day=min(day.day, _month_end(first).day))


def _is_month_end(day: date) -> bool:
    return (day + timedelta(days=1)).day == 1


def _month_end(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
