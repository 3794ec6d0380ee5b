"""
A chunk's received columns into the contract's typed ones, whatever the kind of record.

Comes in: the frame of a chunk. Goes out: a typed frame of the same rows, and the faults found in them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from transforms.contract import Entity, Value
from transforms.documents import POSITION
from transforms.formatted.values import READERS, TEXT, Typed, clean_text
from transforms.rules.ids import whole_id

TYPE_WORDS = {
    "decimal": "a number",
    "money": "an amount",
    "cents": "whole cents",
    "date": "a date",
    "time": "a clock time",
    "timestamp": "a moment",
    "boolean": "yes or no",
}
# Texts that name something stand in an index, which holds 2,700 bytes.
KEYS = frozenset(
    [
        "receipt_number",
        "store",
        "customer",
        "employee",
        "product_key",
        "payment_reference",
        "reverses_receipt_number",
        "movement",
        "delivery",
        "supplier",
    ]
)
LONGEST_KEY = 600


@dataclass
class Faults:
    """Why rows are refused: the first fault of a row is its reason. One entry per row at most, key the row's label."""

    reason: pd.Series[Any]
    column: pd.Series[Any]
    value: pd.Series[Any]
    _found: pd.Series[bool] = field(init=False)

    def __post_init__(self) -> None:
        self._found = self.reason.notna()

    @classmethod
    def none_yet(cls, index: pd.Index[Any]) -> Faults:
        return cls(*(pd.Series(None, index=index, dtype=object) for _ in range(3)))

    @property
    def found(self) -> pd.Series[bool]:
        """Which rows have a fault."""
        return self._found

    def add(self, rows: pd.Series[bool], reason: str, column: str | None, values: pd.Series[Any] | None) -> None:
        """Rows that have no fault yet get this one."""
        new = rows & ~self._found
        if not new.any():
            return
        self.reason[new] = reason
        self.column[new] = column
        if values is not None:
            self.value[new] = values[new].astype(object)
        self._found |= new


def type_columns(frame: pd.DataFrame, entity: Entity) -> tuple[pd.DataFrame, Faults]:
    """
    Each column the contract names, typed; the record's `position` beside them.

    Faults: a required value that is missing, a text that can't be read as its type or means none of the allowed.
    """
    faults = Faults.none_yet(frame.index)
    typed = {"position": frame[POSITION]}
    for name, value in entity.columns.items():
        typed[name] = type_column(frame, name, value, entity, faults)
    if entity.unknown_columns == "discard_row":
        _discard_rows_with_unknown_columns(frame, entity, faults)
    return pd.DataFrame(typed), faults


def type_column(frame: pd.DataFrame, name: str, value: Value, entity: Entity, faults: Faults) -> pd.Series[Any]:
    """One column of the contract, typed; what is wrong in it goes to the faults."""
    received = [_received(frame, column) for column in value.received]
    cleaned = [clean_text(column, [*entity.missing, *value.missing]) for column in received]
    if value.whole:
        cleaned = [
            _whole(column, received_name, faults) for received_name, column in zip(value.received, cleaned, strict=True)
        ]
    texts = _first(cleaned) if value.pick == "first" else _joined(cleaned, frame.index)
    label = ", ".join(value.received) or name
    original = received[0] if len(received) == 1 else texts
    if value.default is not None:
        texts = texts.fillna(value.default)
    if value.map:
        texts = _mapped(texts, value.map)
    typed: Typed = READERS[value.type](texts, value, entity)
    if value.only:
        faults.add(
            texts.notna() & ~texts.isin(value.only),
            f"{label} means none of: {', '.join(value.only)}",
            label,
            original,
        )
    faults.add(
        typed.unreadable,
        f"{label} can't be read as {TYPE_WORDS.get(value.type, value.type)}",
        label,
        original,
    )
    if name in KEYS:
        long = typed.values.str.len().fillna(0) > LONGEST_KEY
        faults.add(long, f"{label} is longer than {LONGEST_KEY} characters", label, original.str.slice(0, 100))
    if value.required:
        faults.add(typed.values.isna() & ~typed.unreadable, f"{label} is missing", label, original)
    return typed.values


def _received(frame: pd.DataFrame, column: str) -> pd.Series[Any]:
    if column in frame.columns:
        return frame[column]
    return pd.Series(pd.NA, index=frame.index, dtype=TEXT)


def _whole(column: pd.Series[Any], name: str, faults: Faults) -> pd.Series[Any]:
    """Ids by their rule; what it refuses is a fault of the rows."""
    ruled = whole_id(column)
    for refused, why in ruled.refusals:
        faults.add(refused, f"{name}: {why}", name, column)
    whole: pd.Series[Any] = ruled.values
    return whole


def _joined(columns: list[pd.Series[Any]], index: pd.Index[Any]) -> pd.Series[Any]:
    """Several columns as one text, the parts that are there joined by a slash."""
    if len(columns) == 1:
        return columns[0]
    joined = pa.nulls(len(index), pa.string())
    for column in columns:
        # Arrow's own skipping of nulls loses the rows in which all parts are null (seen in pyarrow 26).
        part = pa.array(column, pa.string())
        both = pc.binary_join_element_wise(joined, part, "/")
        joined = pc.coalesce(both, joined, part)
    return pd.Series(pd.array(joined, TEXT), index=index)


def _first(columns: list[pd.Series[Any]]) -> pd.Series[Any]:
    """Of several columns the first that has a text."""
    texts = pc.coalesce(*(pa.array(column, pa.string()) for column in columns))
    return pd.Series(pd.array(texts, TEXT), index=columns[0].index)


def _mapped(texts: pd.Series[Any], meanings: dict[str, str]) -> pd.Series[Any]:
    """Received words replaced by what they mean; words without a meaning stay."""
    replaced = texts.astype(object).map(meanings)
    return replaced.where(replaced.notna(), texts.astype(object)).astype(TEXT)


def _discard_rows_with_unknown_columns(frame: pd.DataFrame, entity: Entity, faults: Faults) -> None:
    for column in frame.columns:
        if not str(column).startswith("#") and column not in entity.known_columns:
            there = clean_text(frame[column], entity.missing).notna()
            faults.add(there, f"column {column} is unknown, and the contract says discard_row", column, frame[column])
