"""
Which sets stay: the newest proven one of each day, week, month and year, and never fewer than the last proven one.

Only proven sets count and only they fill a place. What was never proven goes when a newer proven one is there. Pure: no
clock, no disk.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# An unproven set is kept this long for whoever wants to know why.
UNPROVEN_FOR = timedelta(days=2)


@dataclass(frozen=True)
class Kept:
    """How many days, weeks, months and years have their newest proven set kept."""

    daily: int
    weekly: int
    monthly: int
    yearly: int


PERIODS: dict[str, Callable[[datetime], tuple[int, ...]]] = {
    "daily": lambda moment: (moment.year, moment.month, moment.day),
    "weekly": lambda moment: tuple(moment.isocalendar()[:2]),
    "monthly": lambda moment: (moment.year, moment.month),
    "yearly": lambda moment: (moment.year,),
}


def kept_sets(made: Mapping[str, datetime], proven: Collection[str], kept: Kept, now: datetime) -> dict[str, str]:
    """
    Set -> why it stays; what is not named may go.

    made: every set there is and its moment; proven: those whose last drill was good.
    """
    newest_first = sorted(made, key=lambda name: (made[name], name), reverse=True)
    good = [name for name in newest_first if name in proven]
    reasons: dict[str, str] = {}
    if good:
        reasons[good[0]] = "the last proven one"
    for period, of in PERIODS.items():
        seen: set[tuple[int, ...]] = set()
        for name in good:
            place = of(made[name].astimezone(UTC))
            if place not in seen and len(seen) < getattr(kept, period):
                seen.add(place)
                reasons.setdefault(name, period)
    for name in newest_first:
        if name not in proven and (not good or made[name] > made[good[0]] or now - made[name] < UNPROVEN_FOR):
            reasons[name] = "not proven yet" if not good or made[name] > made[good[0]] else "not proven, kept two days"
    return reasons
