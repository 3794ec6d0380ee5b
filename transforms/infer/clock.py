"""
When a row was sold: date, time or moment columns, the proven order of day and month, the time zone.

Comes in: the board. Goes out: a Clock with one moment per row, and decisions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from zoneinfo import available_timezones

import numpy as np
import numpy.typing as npt
import pandas as pd

from panpan.errors import ContractError
from transforms.infer.board import Board
from transforms.infer.columns import Column
from transforms.infer.decisions import Certainty, Draft, DraftValue, counted
from transforms.infer.meanings import DATE, TIME, UPDATED, ZONE_NAMES
from transforms.infer.moments import Layout, Order, order_counts
from transforms.infer.naming import words_of

ASSUMED_ZONE = "Europe/Madrid"
MOSTLY = 0.8
NEVER_SALES = frozenset(
    [
        "birth",
        "expiry",
        "due",
        "cancelled",
        "closed",
        "updated",
        "modified",
        "shipped",
        "delivered",
        "synced",
        "since",
    ]
)
ORDER_WORDS: dict[Order, str] = {"day": "day first", "month": "month first"}
MIDNIGHT = re.compile(r"[T ]0?0:00(:00([.]0+)?)?$")
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Clock:
    """The columns that say when, the order of day and month, each row's moment (NaT where unreadable)."""

    date: Column
    time: Column | None
    is_moment: bool
    order: Order
    row_moments: pd.Series[pd.Timestamp]
    has_zone: bool

    @property
    def row_days(self) -> Int64s:
        """Day number of each row."""
        return np.asarray(self.row_moments.to_numpy().astype("datetime64[D]"), dtype=np.int64)

    @property
    def has_clock_time(self) -> bool:
        """Whether rows have a time of the day."""
        return self.is_moment or self.time is not None


@dataclass(frozen=True)
class OrderVerdict:
    """The order of day and month, how sure it is, and why."""

    order: Order
    certainty: Certainty
    evidence: str


def find_clock(board: Board, draft: Draft, prefer_month_first: bool) -> Clock:
    """Take the columns that say when. Errors: ContractError when no column holds a readable date."""
    date = _best_date(board)
    is_moment = date.moment_share >= date.date_share and not _only_midnights(date)
    board.take("sold_at" if is_moment else "sold_on", date)
    time = None if is_moment else _best_time(board)
    if time:
        board.take("sold_time", time)
    verdict = decide_order(date, time, board.table.columns, prefer_month_first)
    clock = Clock(date, time, is_moment, verdict.order, _row_moments(date, time, verdict.order), _has_zone(date))
    _write_moments(clock, verdict, draft)
    _write_updated_at(board, draft, verdict.order)
    return clock


def _best_date(board: Board) -> Column:
    named = [c.column for c in board.candidates(DATE) if _is_date_or_moment(c.column)]
    if named:
        return named[0]
    for column in board.free:
        if not NEVER_SALES & set(words_of(column.name)) and _is_date_or_moment(column) and not column.number_share:
            return column
    raise _no_date(board)


def _no_date(board: Board) -> ContractError:
    names = ", ".join(column.name for column in board.table.columns[:8])
    near = next((c.column for c in board.candidates(DATE) if c.column.values), None)
    shown = f"; {near.name!r} holds {near.values[0]!r}, which is no date this program reads" if near else ""
    return ContractError(
        "no column of the file holds a date",
        cause=f"columns: {names}{shown}",
        next="export the date as 2026-05-30 or 30/05/2026; a sale needs its day",
    )


def _is_date_or_moment(column: Column) -> bool:
    return column.date_share + column.moment_share >= MOSTLY


def _only_midnights(column: Column) -> bool:
    """Spreadsheets write a plain date as 2026-05-30 00:00:00."""
    return column.share(lambda text: MIDNIGHT.search(text) is not None) == 1.0


def _best_time(board: Board) -> Column | None:
    fitting = [c.column for c in board.candidates(TIME) if c.column.time_share >= MOSTLY]
    unnamed = [c for c in board.free if c.time_share >= MOSTLY]
    return next(iter([*fitting, *unnamed]), None)


def _row_moments(date: Column, time: Column | None, order: Order) -> pd.Series[pd.Timestamp]:
    days = date.row_moments(order)
    if time is None:
        return days
    clock = time.row_moments(order)
    return days + (clock - clock.dt.normalize()).fillna(pd.Timedelta(0))


def _has_zone(column: Column) -> bool:
    return any("%z" in pattern for pattern in _patterns(column))


def _patterns(column: Column) -> list[str]:
    """Layout patterns of a column, the commonest first."""
    return [str(pattern) for pattern in column.patterns.value_counts().index if pattern]


def formats_of(column: Column, order: Order) -> list[str]:
    """strptime forms of a column under an order; both orders where the column itself shows both."""
    counts = order_counts(column.values)
    forms = [Layout(p, True, True, False).format(order) for p in _patterns(column)]
    if counts.first_above_12 and counts.second_above_12:
        other: Order = "month" if order == "day" else "day"
        forms += [Layout(p, True, True, False).format(other) for p in _patterns(column) if "<1>" in p]
    return list(dict.fromkeys(forms))


# --- the order of day and month ----------------------------------------------------------------------------


def decide_order(date: Column, time: Column | None, others: list[Column], prefer_month_first: bool) -> OrderVerdict:
    """Which number is the day: proven by a number above 12 or by rows in time order, else the likelier."""
    if not any("<1>" in pattern for pattern in _patterns(date)):
        return OrderVerdict("day", "proven", f"values such as {date.values[0]!r} can be read in one way only")
    return (
        _order_by_large_numbers(date)
        or _order_by_sequence(date, time, others)
        or _order_by_continuity(date, prefer_month_first)
    )


def _order_by_large_numbers(date: Column) -> OrderVerdict | None:
    counts = order_counts(date.values)
    first, second = counts.first_above_12, counts.second_above_12
    if first and second:
        order: Order = "day" if first >= second else "month"
        shown = f"{counts.first_example!r} has its day first and {counts.second_example!r} its month"
        evidence = (
            f"both orders occur: {shown}; dates that fit both are read {ORDER_WORDS[order]} ({first} to {second} dates)"
        )
        return OrderVerdict(order, "AMBIGUOUS", evidence)
    if first:
        return OrderVerdict(
            "day",
            "proven",
            f"{counts.first_example!r} has a number above 12 in first place, so the day is first",
        )
    if second:
        return OrderVerdict(
            "month",
            "proven",
            f"{counts.second_example!r} has a number above 12 in second place, so the month is first",
        )
    return None


def _order_by_sequence(date: Column, time: Column | None, others: list[Column]) -> OrderVerdict | None:
    moments: dict[Order, pd.Series[pd.Timestamp]] = {o: _row_moments(date, time, o) for o in ("day", "month")}
    for told_by, sequence in _sequences(date, others):
        rising = {order: _orderly_share(rows, sequence) for order, rows in moments.items()}
        best: Order = "day" if rising["day"] >= rising["month"] else "month"
        worse: Order = "month" if best == "day" else "day"
        if rising[best] >= 0.98 and rising[worse] < 0.9:
            evidence = (
                f"no number above 12 tells, but {ORDER_WORDS[best]} puts {told_by} in time order "
                f"({rising[best]:.0%} of steps, {ORDER_WORDS[worse]} {rising[worse]:.0%})"
            )
            return OrderVerdict(best, "proven", evidence)
    return None


def _sequences(date: Column, others: list[Column]) -> Iterator[tuple[str, Int64s]]:
    """Orders of rows that should be orders in time: the file's own, and each counter's."""
    yield "the rows of the file", np.arange(len(date.codes))
    counters = [c for c in others if c.distinct_count > 10 and c.filled_share > 0.9 and c.share(str.isdigit) == 1.0]
    for column in counters[:4]:
        if {"id", "no", "number", "receipt", "ticket", "order", "transaction"} & set(words_of(column.name)):
            yield f"the numbers in {column.name}", np.argsort(column.row_numbers("."), kind="stable")


def _orderly_share(moments: pd.Series[pd.Timestamp], sequence: Int64s) -> float:
    """Share of steps between different moments that go the usual way; 0 when there are too few to tell."""
    steps = np.diff(moments.to_numpy()[sequence][~moments.isna().to_numpy()[sequence]].astype(np.int64))
    steps = steps[steps != 0]
    if len(steps) < 5:
        return 0.0
    rising = float((steps > 0).mean())
    return max(rising, 1 - rising)


def _order_by_continuity(date: Column, prefer_month_first: bool) -> OrderVerdict:
    density: dict[Order, float] = {}
    told: dict[Order, str] = {}
    for order, words in ORDER_WORDS.items():
        days = date.row_moments(order).dropna().dt.normalize()
        span = (days.max() - days.min()).days + 1 if len(days) else 1
        density[order] = days.nunique() / span
        told[order] = f"{words} gives {days.nunique()} day(s) within {span}"
    if density["day"] == density["month"]:
        usual: Order = "month" if prefer_month_first else "day"
        why = "US dollars or a 12-hour clock suggest it" if prefer_month_first else "most countries write it so"
        return OrderVerdict(
            usual,
            "AMBIGUOUS",
            f"nothing in the file tells day from month; {ORDER_WORDS[usual]} taken because {why}",
        )
    likelier: Order = "day" if density["day"] > density["month"] else "month"
    evidence = f"no date proves the order; {told['day']}, {told['month']}, and shops sell on days in a row"
    return OrderVerdict(likelier, "AMBIGUOUS", evidence)


# --- into the draft ----------------------------------------------------------------------------------------


def _write_moments(clock: Clock, verdict: OrderVerdict, draft: Draft) -> None:
    kind: Literal["timestamp", "date"] = "timestamp" if clock.is_moment else "date"
    name = "sold_at" if clock.is_moment else "sold_on"
    forms = formats_of(clock.date, clock.order)
    draft.columns[name] = DraftValue(clock.date.name, kind, forms, required=True)
    draft.decide(name, f"{clock.date.name} as {' or '.join(forms)}", verdict.evidence, verdict.certainty)
    _tell_unreadable(name, clock, draft)
    if clock.time:
        times = formats_of(clock.time, clock.order)
        whole = clock.time.filled_share == 1.0
        draft.columns["sold_time"] = DraftValue(clock.time.name, "time", times, required=whole)
        draft.decide(
            "sold_time",
            f"{clock.time.name} as {' or '.join(times)}",
            f"it holds clock times such as {clock.time.values[0]!r}",
        )
        if not whole:
            empty = int((~clock.time.present_rows).sum())
            draft.decide(
                "sold_time", "rows without a time can't be placed", f"{counted(empty, 'row')} without a time", "warning"
            )
    elif not clock.is_moment:
        draft.decide("sold_on", "no clock time", "no column holds times, so sales have a day and no hour", "proven")


def _tell_unreadable(about: str, clock: Clock, draft: Draft) -> None:
    unreadable = clock.row_moments.isna().to_numpy()
    blank = int((unreadable & ~clock.date.present_rows).sum())
    wrong = int((unreadable & clock.date.present_rows).sum())
    if blank or wrong:
        draft.decide(
            about,
            "rows without a readable date are rejected",
            f"{counted(blank, 'row')} without a date, {wrong:,} with an unreadable one",
            "warning",
        )


def _write_updated_at(board: Board, draft: Draft, order: Order) -> None:
    found = next((c.column for c in board.candidates(UPDATED) if c.column.moment_share >= MOSTLY), None)
    if found:
        board.take("updated_at", found)
        draft.columns["updated_at"] = DraftValue(found.name, "timestamp", formats_of(found, order))
        draft.decide("updated_at", found.name, "its name says when the record last changed")


def decide_zone(board: Board, clock: Clock, draft: Draft, asked: str | None) -> str:
    """The zone of the source: asked for, told by a column, or assumed."""
    column = board.taken.get("time_zone")
    if asked:
        draft.decide("time_zone", asked, "it was given with --time-zone", "proven")
    if column and column.values:
        return _zone_of_column(column, draft, asked)
    if asked:
        return asked
    evidence = "the file names no time zone; give --time-zone or correct it here"
    if clock.has_zone:
        evidence = "moments carry their offset, so they are exact; the zone only says where the business day ends"
    draft.decide("time_zone", ASSUMED_ZONE, evidence, "assumed")
    return ASSUMED_ZONE


def _zone_of_column(column: Column, draft: Draft, asked: str | None) -> str:
    known = {**ZONE_NAMES, **{name: name for name in available_timezones()}}
    commonest = column.value_counts.most_common(1)[0][0]
    draft.columns["time_zone"] = DraftValue(column.name)
    draft.zones = {value: known[value] for value in column.values if value in known and known[value] != value}
    for value in column.values:
        if value not in known:
            draft.decide(
                "time_zone",
                f"{value!r} is unknown",
                f"{column.name} names a zone this program does not know",
                "warning",
            )
    if asked:
        return asked
    draft.decide("time_zone", known.get(commonest, ASSUMED_ZONE), f"{column.name} says {commonest!r}", "proven")
    return known.get(commonest, ASSUMED_ZONE)
