"""
Which columns name a receipt: a value that repeats only within one sale.

Comes in: the board, the clock, columns taken for store and customer. Goes out: a ReceiptKey and decisions.
A counter that restarts is joined with date and store; without any number, customer and date stand for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from transforms.infer.board import Board
from transforms.infer.clock import Clock
from transforms.infer.columns import Column, Mask
from transforms.infer.decisions import Draft, DraftValue
from transforms.infer.meanings import CUSTOMER, RECEIPT
from transforms.infer.naming import Candidate, words_of

Keys = npt.NDArray[np.int64]
EXCEPTIONS = 0.01
LONGEST_SALE_HOURS = 12
DENSE = 0.3
GENERIC = {("id",), ("no",), ("nr",), ("number",), ("order",), ("index",), ("num",), ()}


@dataclass(frozen=True)
class ReceiptKey:
    """The columns that together name a receipt, and the receipt of each row as a number."""

    columns: list[Column]
    row_keys: Keys
    count: int

    @property
    def lines_per_receipt(self) -> float:
        """Rows per receipt."""
        return len(self.row_keys) / max(1, self.count)


def joined_keys(columns: list[Column]) -> tuple[Keys, int]:
    """One number per combination of the columns' values, and how many combinations there are."""
    keys = columns[0].keys.astype(np.int64)
    for column in columns[1:]:
        keys = keys * (len(column.texts) + 1) + column.keys
        keys = pd.factorize(keys)[0].astype(np.int64)
    codes, distinct = pd.factorize(keys)
    return codes.astype(np.int64), len(distinct)


def varied_share(keys: Keys, count: int, values: npt.NDArray[np.int64]) -> float:
    """Share of groups in which a value is not the same on every row."""
    lowest, highest = np.full(count, np.iinfo(np.int64).max), np.full(count, np.iinfo(np.int64).min)
    np.minimum.at(lowest, keys, values)
    np.maximum.at(highest, keys, values)
    return float((lowest != highest).mean())


def find_receipt(board: Board, clock: Clock, draft: Draft) -> ReceiptKey:
    """Take the columns that name a receipt; the last resort is all that makes rows unique."""
    index = _tell_index_columns(board, draft)
    dated = clock.row_moments.notna().to_numpy()
    options = [c for c in board.candidates(RECEIPT) if _could_name_receipts(c.column, dated) and c.column not in index]
    for option in options:
        found = _with_what_it_needs(option, board, clock, draft)
        if found:
            board.take("receipt_number", option.column)
            _tell_floats(option.column, draft)
            return _write(found, draft)
    return _write(_by_customer(board, clock, draft) or _by_row(board, clock, draft), draft)


def _write(key: ReceiptKey, draft: Draft) -> ReceiptKey:
    names = [column.name for column in key.columns]
    draft.columns["receipt_number"] = DraftValue(names[0] if len(names) == 1 else names, required=True)
    return key


def _could_name_receipts(column: Column, dated: Mask) -> bool:
    """By its values, and as rows with a date have it: a row of totals has neither."""
    has_date = column.date_share + column.moment_share + column.time_share > 0.5 and column.number_share < 1
    has_digits = column.share(lambda text: any(sign.isdigit() for sign in text))
    fractions = column.share(lambda text: "." in text and text.split(".")[-1].strip("0") != "")
    has_numbers = fractions > 0.5 and column.number_share > 0.8
    filled = bool(dated.any()) and column.present_rows[dated].mean() > 0.9
    return filled and has_digits > 0.5 and not has_date and not has_numbers


def _tell_index_columns(board: Board, draft: Draft) -> list[Column]:
    """Row numbers written by a program: unnamed or called id, whole, and rising with the rows."""
    found = []
    for column in board.free:
        name = words_of(column.name.split("#")[0])
        if name in GENERIC and _rises_with_rows(column) and (not name or _starts_at_beginning(column)):
            found.append(column)
            shown = column.name if name else f"the unnamed column {column.place + 1}"
            draft.decide(
                "ignored",
                f"{shown} is a row number",
                f"it counts {column.values[0]} to {column.values[-1]} along the rows, not sales",
                "proven",
            )
    return found


def _rises_with_rows(column: Column) -> bool:
    if column.share(str.isdigit) < 1.0 or column.filled_share < 1.0 or column.distinct_count < len(column.codes):
        return False
    return len(column.codes) > 1 and bool((np.diff(column.row_numbers(".")) > 0).all())


def _starts_at_beginning(column: Column) -> bool:
    numbers = column.row_numbers(".")
    return bool(numbers[0] <= 1 and (np.diff(numbers) == 1).all())


# --- a receipt number, alone or with what it needs --------------------------------------------------------


def _with_what_it_needs(option: Candidate, board: Board, clock: Clock, draft: Draft) -> ReceiptKey | None:
    """The candidate alone or with store and date: the smallest combination that holds one sale each."""
    store = board.taken.get("store")
    for helpers in ([], [store], [clock.date], [clock.date, store]):
        parts = [part for part in helpers if part is not None]
        if len(parts) < len(helpers):
            continue
        keys, count = joined_keys([*parts, option.column])
        if _is_one_sale_each(keys, count, clock, store):
            key = ReceiptKey([*parts, option.column], keys, count)
            return _accept(option, key, parts, clock, draft)
    return None


def _is_one_sale_each(keys: Keys, count: int, clock: Clock, store: Column | None) -> bool:
    if store is not None and varied_share(keys, count, store.keys.astype(np.int64)) > EXCEPTIONS:
        return False
    known = clock.row_moments.notna().to_numpy()
    hours = clock.row_moments.to_numpy().astype("datetime64[s]").astype(np.int64) / 3600
    first, last = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(first, keys[known], hours[known])
    np.maximum.at(last, keys[known], hours[known])
    return bool((last - first > LONGEST_SALE_HOURS).mean() <= EXCEPTIONS)


def _accept(option: Candidate, key: ReceiptKey, helpers: list[Column], clock: Clock, draft: Draft) -> ReceiptKey | None:
    name = option.column.name
    rows = len(key.row_keys)
    found = f"{key.count:,} receipts in {rows:,} rows"
    if not helpers:
        each = (
            "each row is its own receipt"
            if key.count == rows
            else f"rows with one {name} share one date" + (" and time" if clock.has_clock_time else "")
        )
        draft.decide("receipt_number", name, f"{found}; {each}", "proven" if not option.is_weak else "likely")
        return key
    if option.is_weak and not _is_daily_counter(option.column, clock):
        return None  # a name like id that returns on many dates names a customer or a product, not a counter
    joined = " + ".join(column.name for column in key.columns)
    with_them = " and ".join(column.name for column in helpers)
    draft.decide(
        "receipt_number",
        joined,
        f"{name} restarts ({option.column.distinct_count:,} values), only with {with_them} it names one sale: {found}",
        "proven",
    )
    return key


def _is_daily_counter(column: Column, clock: Clock) -> bool:
    """Whether the numbers of a day lie densely together, as those of a counter that starts again do."""
    if column.number_share < 1.0:
        return False
    frame = pd.DataFrame({"day": clock.row_days, "number": column.row_numbers(".")}).dropna()
    days = frame.groupby("day")["number"].agg(["nunique", "min", "max"])
    return bool((days["nunique"] / (days["max"] - days["min"] + 1)).median() >= DENSE)


def _tell_floats(column: Column, draft: Draft) -> None:
    if column.share(lambda text: text.endswith(".0")) > 0.9:
        evidence = (
            f"{column.name} is written as {column.values[0]!r}; an export without the .0 would count as other receipts"
        )
        draft.decide("receipt_number", "numbers written as decimals", evidence, "warning")


# --- without a receipt number ------------------------------------------------------------------------------


def _by_customer(board: Board, clock: Clock, draft: Draft) -> ReceiptKey | None:
    customer = board.taken.get("customer") or _customer_by_values(board, draft)
    if customer is None or customer.filled_share < 0.99:
        return None
    parts = [customer, clock.date, *([clock.time] if clock.time else [])]
    keys, count = joined_keys(parts)
    joined = " + ".join(part.name for part in parts)
    evidence = (
        f"no column numbers receipts, so what one customer bought at one "
        f"{'time' if clock.has_clock_time else 'day'} is one: {count:,} in {len(keys):,} rows"
    )
    draft.decide("receipt_number", joined, evidence, "assumed")
    return ReceiptKey(parts, keys, count)


def _customer_by_values(board: Board, draft: Draft) -> Column | None:
    """A column called id whose values return on many dates names who bought; of equal ones the plainest."""
    weak = [c.column for c in board.candidates(CUSTOMER) if c.is_weak and c.column.filled_share > 0.99]
    options = [column for column in weak if 1 < column.distinct_count < 0.9 * len(column.codes)]
    if not options:
        return None
    options.sort(key=lambda column: (column.name.startswith("_"), column.place))
    chosen = options[0]
    board.take("customer", chosen)
    same = [o.name for o in options[1:] if joined_keys([chosen, o])[1] == chosen.distinct_count == o.distinct_count]
    evidence = f"its {chosen.distinct_count:,} values return on other dates, as customers do and receipts do not"
    if same:
        evidence += (
            f"; {', '.join(same)} names the same {chosen.distinct_count:,} one to one, and the plain name was taken"
        )
    draft.decide("customer", chosen.name, evidence)
    return chosen


def _by_row(board: Board, clock: Clock, draft: Draft) -> ReceiptKey:
    """Every row its own receipt: date and time, then the columns that tell most rows apart."""
    parts = [clock.date, *([clock.time] if clock.time else [])]
    keys, count = joined_keys(parts)
    others = [c for c in board.table.columns if c not in parts and c.distinct_count > 1 and c.name.split("#")[0]]
    for column in sorted(others, key=lambda c: -c.distinct_count)[:30]:
        if count == len(keys):
            break
        wider_keys, wider = joined_keys([*parts, column])
        if wider > count:
            parts, keys, count = [*parts, column], wider_keys, wider
    joined = " + ".join(part.name for part in parts)
    draft.decide(
        "receipt_number",
        joined,
        f"nothing names a receipt, so each row is one; {joined} tell {count:,} of {len(keys):,} rows apart",
        "assumed",
    )
    if count < len(keys):
        evidence = (
            f"{len(keys) - count:,} rows equal another one in every column; they become separate "
            f"lines of one receipt and none is dropped"
        )
        draft.decide("receipt_number", "identical rows share a receipt", evidence, "warning")
    return ReceiptKey(parts, keys, count)
