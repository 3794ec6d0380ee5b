"""
Texts that are dates, times and moments: their layouts as strptime forms, and the order of day and month.

Comes in: distinct texts of a column. Goes out: layouts found, formats under either order, parsed values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import pandas as pd

Order = Literal["day", "month"]

_NUMERIC = r"(?P<a>\d{1,4})(?P<s>[-/.])(?P<b>\d{1,2})(?P=s)(?P<c>\d{4}|\d{1,2})"
_COMPACT = r"(?P<compact>(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))"
_DAY_NAME = r"(?P<d1>\d{1,2})(?P<s1>[ .\-/]{1,2})(?P<m1>[A-Za-z]{3,9})(?P<s2>,? |[.\-/] ?)(?P<y1>\d{4}|\d{2})"
_NAME_DAY = r"(?P<m2>[A-Za-z]{3,9})(?P<s3>[ .\-]{1,2})(?P<d2>\d{1,2})(?P<s4>,? )(?P<y2>\d{4})"
_DATE = rf"(?:{_NUMERIC}|{_COMPACT}|{_DAY_NAME}|{_NAME_DAY})"
_TIME = (
    r"(?P<hour>\d{1,2})(?P<hs>[:h])(?P<minute>[0-5]\d)(?P<second>:[0-5]\d(?P<fraction>[.]\d{1,6})?)?"
    r"(?P<half> ?[AaPp][Mm])?"
)
_ZONE = r"(?P<zs> ?)(?P<zone>Z|UTC|[+-]\d{2}:?\d{2})"
MOMENT = re.compile(rf"(?:(?P<date>{_DATE})(?P<join>(?:T| |, | - )(?=\d))?)?(?:{_TIME}(?:{_ZONE})?)?")
MONTHS = {
    name: code
    for code, names in (
        ("%b", "jan feb mar apr may jun jul aug sep oct nov dec"),
        ("%B", "january february march april june july august september october november december"),
    )
    for name in names.split()
}
# Day and month still open: <1> and <2> stand for the first and the second of the two.
ORDERED = {"day": ("%d", "%m"), "month": ("%m", "%d")}


@dataclass(frozen=True)
class Layout:
    """One way of writing moments; `pattern` has <1> and <2> where day and month may change places."""

    pattern: str
    has_date: bool
    has_time: bool
    has_zone: bool

    @property
    def is_open(self) -> bool:
        """Whether the order of day and month has to be found out."""
        return "<1>" in self.pattern

    def format(self, order: Order) -> str:
        """The strptime form under an order."""
        first, second = ORDERED[order]
        return self.pattern.replace("<1>", first).replace("<2>", second)


def layout_of(text: str) -> Layout | None:
    """How one text is written, or None when it is no date, time or moment."""
    match = MOMENT.fullmatch(text)
    if not match or not text:
        return None
    part = match.groupdict()
    date = _date_pattern(part) if part["date"] else ""
    if date is None:
        return None
    time = _time_pattern(part) if part["hour"] else ""
    zone = f"{part['zs']}%z" if part["zone"] else ""
    return Layout(f"{date}{part['join'] or ''}{time}{zone}", bool(date), bool(time), bool(zone))


def _date_pattern(part: dict[str, str | None]) -> str | None:
    if part["compact"]:
        return "%Y%m%d"
    if part["m1"]:
        month = MONTHS.get(part["m1"].lower())
        return month and f"%d{part['s1']}{month}{part['s2']}{'%Y' if len(part['y1'] or '') == 4 else '%y'}"
    if part["m2"]:
        month = MONTHS.get(part["m2"].lower())
        return month and f"{month}{part['s3']}%d{part['s4']}%Y"
    return _numeric_pattern(part["a"] or "", part["s"] or "", part["c"] or "")


def _numeric_pattern(first: str, sign: str, last: str) -> str | None:
    if len(first) == 4:
        return f"%Y{sign}%m{sign}%d"
    if len(first) > 2 or len(last) == 1:
        return None
    return f"<1>{sign}<2>{sign}{'%Y' if len(last) == 4 else '%y'}"


def _time_pattern(part: dict[str, str | None]) -> str:
    half = part["half"] or ""
    pattern = f"{'%I' if half else '%H'}{part['hs']}%M"
    pattern += ":%S" if part["second"] else ""
    pattern += ".%f" if part["fraction"] else ""
    return pattern + (f"{' ' if half.startswith(' ') else ''}%p" if half else "")


def layouts_of(texts: Iterable[str]) -> pd.Series[str]:
    """The layout's pattern of each text, empty where it is none; the index is the text."""
    texts = list(texts)
    return pd.Series([(found.pattern if (found := layout_of(t)) else "") for t in texts], index=texts, dtype=object)


@dataclass(frozen=True)
class OrderCounts:
    """How many distinct texts have a number above 12 in the first, and in the second place."""

    first_above_12: int
    second_above_12: int
    first_example: str = ""
    second_example: str = ""


def order_counts(texts: Iterable[str]) -> OrderCounts:
    """Proofs of the order of day and month: only a day can be above 12."""
    found: dict[int, list[str]] = {1: [], 2: []}
    for text in texts:
        match = re.match(r"(\d{1,2})[-/.](\d{1,2})[-/.](?:\d{4}|\d{2})(?!\d)", text)
        if match:
            for place in (1, 2):
                if int(match[place]) > 12:
                    found[place].append(text)
    return OrderCounts(len(found[1]), len(found[2]), *(next(iter(found[place]), "") for place in (1, 2)))


def parse(texts: list[str], patterns: list[str], order: Order) -> pd.Series[pd.Timestamp]:
    """
    Moments of the texts under the given patterns and order; NaT where none fits, the first that fits wins.

    Moments with an offset become UTC; the others stay as they are written, on the store's clock.
    """
    received = pd.Series(texts, dtype=object)
    parsed = pd.Series(pd.NaT, index=received.index, dtype="datetime64[ns]")
    for pattern in patterns:
        form = Layout(pattern, True, True, "%z" in pattern).format(order)
        open_places = parsed.isna()
        read = pd.to_datetime(received[open_places], format=form, errors="coerce", utc=True)
        parsed[open_places] = read.dt.tz_localize(None)
    return parsed
