"""Exact arithmetic on columns of amounts (Arrow decimals): nothing here is ever a float."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from transforms.formatted.values import NUMBER

_TYPE = pa.decimal128(18, 4)
_ZERO = pa.scalar(Decimal(0), _TYPE)
_BEYOND = pa.scalar(Decimal(10**10), pa.decimal128(38, 8))  # what core's columns no longer hold


def unknown(index: pd.Index[Any]) -> pd.Series[Any]:
    """A column of unknown amounts, which is not a column of zeros."""
    return pd.Series(pd.NA, index=index, dtype=NUMBER)


def negated(amounts: pd.Series[Any]) -> pd.Series[Any]:
    """The same amounts with the other sign."""
    return _series(pc.negate(_array(amounts)), amounts.index)


def added(left: pd.Series[Any], right: pd.Series[Any]) -> pd.Series[Any]:
    """The sum; unknown where either side is."""
    return _series(pc.cast(pc.add(_array(left), _array(right)), _TYPE), left.index)


def multiplied(quantity: pd.Series[Any], price: pd.Series[Any]) -> pd.Series[Any]:
    """Quantity times price, to the cent, halves away from zero; unknown where either side is or it is out of range."""
    product = pc.multiply(_array(quantity), _array(price))
    product = pc.if_else(pc.less(pc.abs(product), _BEYOND), product, None)
    rounded = pc.round(product, ndigits=2, round_mode="half_towards_infinity")
    return _series(pc.cast(rounded, _TYPE), quantity.index)


def finer_than_cents(amounts: pd.Series[Any]) -> pd.Series[bool]:
    """Where an amount has more than two decimals, so that storing it would change it."""
    values = _array(amounts)
    differs = pc.not_equal(pc.round(values, ndigits=2), values)
    return pd.Series(pc.fill_null(differs, False).to_numpy(zero_copy_only=False), index=amounts.index)


def is_negative(amounts: pd.Series[Any]) -> pd.Series[bool]:
    """Where an amount is known and below zero."""
    below = pc.less(_array(amounts), _ZERO)
    return pd.Series(pc.fill_null(below, False).to_numpy(zero_copy_only=False), index=amounts.index)


def is_zero(amounts: pd.Series[Any]) -> pd.Series[bool]:
    """Where an amount is known and zero."""
    zero = pc.equal(_array(amounts), _ZERO)
    return pd.Series(pc.fill_null(zero, False).to_numpy(zero_copy_only=False), index=amounts.index)


def total(amounts: pd.Series[Any]) -> str:
    """The sum of the known ones, as text with two decimals."""
    value = pc.sum(_array(amounts)).as_py()
    return f"{value or 0:.2f}"


# --- whole numbers: ten-thousandths, for what Arrow's decimals can't divide ---------------------------------

PARTS = 10_000  # a column's smallest part is a ten-thousandth
_LARGEST = 10**10 * PARTS  # what core's columns no longer hold, in parts
_INT64 = 2**62


def parts(amounts: pd.Series[Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The amounts in ten-thousandths, 0 where unknown, and where they are known."""
    array = _array(amounts)
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    if not len(array):
        return np.zeros(0, np.int64), np.zeros(0, bool)
    known = array.is_valid().to_numpy(zero_copy_only=False)
    # A decimal128 of 18 digits is an int64 and its sign, 16 bytes in all.
    words = np.frombuffer(array.buffers()[1], np.int64)[::2][array.offset : array.offset + len(array)]
    return np.where(known, words, 0), known


def of_parts(values: np.ndarray[Any, Any], known: np.ndarray[Any, Any], index: pd.Index[Any]) -> pd.Series[Any]:
    """Ten-thousandths as amounts again; unknown also where core's columns could not hold them."""
    holds = known & (np.abs(values) < _LARGEST)
    low = np.where(holds, values, 0).astype(np.int64)
    words = np.column_stack([low, low >> 63])
    bits = np.packbits(holds, bitorder="little")
    array = pa.Array.from_buffers(_TYPE, len(low), [pa.py_buffer(bits), pa.py_buffer(words)])
    return _series(array, index)


def half_up(over: np.ndarray[Any, Any], under: np.ndarray[Any, Any] | int) -> np.ndarray[Any, Any]:
    """Whole numbers divided, halves away from zero; `under` is above zero."""
    quotient: np.ndarray[Any, Any] = np.sign(over) * ((2 * np.abs(over) + under) // (2 * under))
    return quotient


def times(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any] | int) -> np.ndarray[Any, Any]:
    """Whole numbers multiplied; in Python's own, which have no bounds, where 64 bits are too few."""
    largest = _largest(left) * _largest(right) * 4
    return left * right if largest < _INT64 else left.astype(object) * right


def _largest(values: np.ndarray[Any, Any] | int) -> int:
    return abs(values) if isinstance(values, int) else int(np.abs(values).max(initial=0))


def times_over(amounts: pd.Series[Any], over: int, under: int) -> pd.Series[Any]:
    """Each amount times over / under, to the ten-thousandth, halves away from zero; unknown where out of range."""
    values, known = parts(amounts)
    return of_parts(half_up(times(values, over), under), known, amounts.index)


def divided(amounts: pd.Series[Any], quantity: pd.Series[Any]) -> pd.Series[Any]:
    """Amount over quantity, to the ten-thousandth; unknown where either is, or the quantity is 0."""
    values, known = parts(amounts)
    by, has_quantity = parts(quantity)
    fits = known & has_quantity & (by != 0)
    under = np.where(fits, np.abs(by), 1)
    return of_parts(half_up(times(values * np.sign(by), PARTS), under), fits, amounts.index)


def _array(amounts: pd.Series[Any]) -> pa.Array:
    return pa.array(amounts, _TYPE)


def _series(values: pa.Array, index: pd.Index[Any]) -> pd.Series[Any]:
    return pd.Series(pd.array(values, NUMBER), index=index)
