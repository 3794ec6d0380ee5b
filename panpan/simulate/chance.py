"""
Repeatable chance: one random source per named thing, ids in the source systems' forms, local time.

Comes in: the seed and words that name the thing. Goes out: the same numbers on every machine.
"""

from __future__ import annotations

from base64 import b32encode, b64encode
from datetime import date, datetime, time, timedelta
from random import Random

from panpan.simulate.catalogue import START, ZONE

_LETTERS = bytes.maketrans(b"+/", b"xQ")
_NOON = time(12)
_WEEKDAYS = (0.86, 0.88, 0.92, 0.96, 1.08, 1.24, 1.1)
_YEARLY_GROWTH = 0.12


def chance(seed: int, *words: object) -> Random:
    """A random source that depends on nothing but its arguments."""
    return Random("/".join([str(seed), *map(str, words)]))


def long_id(source: Random) -> str:
    """29 letters and digits, as Square's transactions and payments have."""
    return b64encode(source.randbytes(22)).translate(_LETTERS)[:29].decode()


def upper_id(source: Random, length: int) -> str:
    """Upper-case letters and digits, as Square's customers (26) and catalogue tokens (24) have."""
    return b32encode(source.randbytes(20)).decode()[:length]


def noon(day: date) -> int:
    """Local noon as seconds since 1970; the base of opening hours, since no clock changes at noon."""
    return int(datetime.combine(day, _NOON, ZONE).timestamp())


def midnight_after(day: date) -> int:
    """The end of a local day as seconds since 1970."""
    return int(datetime.combine(day + timedelta(days=1), time(), ZONE).timestamp())


def local(moment: int) -> datetime:
    """A moment on the wall clock in Madrid."""
    return datetime.fromtimestamp(moment, ZONE)


def clock_changes_after(day: date) -> bool:
    """Whether the night after this day is the one in which the clocks change."""
    return noon(day + timedelta(days=1)) - noon(day) != 86400


def demand(day: date, month_factors: tuple[float, ...]) -> float:
    """How busy a day is against an average one: weekday, month and growth."""
    growth = 1 + _YEARLY_GROWTH * (day - START).days / 365
    return _WEEKDAYS[day.weekday()] * month_factors[day.month - 1] * growth
