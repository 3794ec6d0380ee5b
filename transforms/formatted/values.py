"""
One function per type of value: a column of received texts in, a typed column out.

Each gives a Typed: the values, and where a text was there but can't be read. Amounts are exact decimals
(Arrow decimal128) throughout; no float ever holds one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from transforms.contract import Entity, Value

TEXT = pd.ArrowDtype(pa.string())
_DECIMAL = pa.decimal128(18, 4)
NUMBER = pd.ArrowDtype(_DECIMAL)
MONEY_PLACES = 2

_BLANKS = r"[\s\x{00a0}\x{2009}\x{202f}'\x{2019}]"  # an apostrophe may part thousands: 1'234.50
_CURRENCY = r"(?:[$€£¥₹₺₽₩]|[A-Z]{1,2}\$|[A-Z]{2,3}|kr|zł|Fr)"
_NUMBER = {
    ".": r"(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d*)?",
    ",": r"(?:\d{1,3}(?:\.\d{3})+|\d+)?(?:,\d*)?",
}
_OFFSET = r"[Tt ].*(?:[Zz]|[+-]\d{2}(?::?\d{2})?)$"


@dataclass(frozen=True)
class Typed:
    """A typed column and a mask of the rows whose text can't be read as that type."""

    values: pd.Series[Any]
    unreadable: pd.Series[bool]


def clean_text(texts: pd.Series[Any], missing: list[str]) -> pd.Series[Any]:
    """Texts without blanks around them; null where what is left means nothing."""
    stripped = pc.utf8_trim_whitespace(pa.array(texts, pa.string()))
    means_nothing = pc.is_in(stripped, value_set=pa.array([*(m.strip() for m in missing), ""], pa.string()))
    return _series(pc.if_else(means_nothing, None, stripped), texts.index)


def once_each(texts: pd.Series[Any], change: Callable[[pa.Array], pa.Array]) -> pd.Series[Any]:
    """A column changed text by text: each different text once, since a year of receipts has few."""
    received = pa.array(texts, pa.string())
    received = received.combine_chunks() if isinstance(received, pa.ChunkedArray) else received
    encoded = received.dictionary_encode()
    return _series(change(encoded.dictionary).take(encoded.indices), texts.index)


def fold_text(texts: pd.Series[Any]) -> pd.Series[Any]:
    """Texts in which letter case and blanks around or doubled no longer tell apart; null where no sign is left."""
    return once_each(texts, _folded)


def _folded(texts: pa.Array) -> pa.Array:
    single = pc.utf8_trim_whitespace(pc.replace_substring_regex(texts, r"[\s\x{00a0}]+", " "))
    return pc.if_else(pc.equal(single, ""), None, pc.utf8_lower(single))


def read_text(texts: pd.Series[Any], value: Value, entity: Entity) -> Typed:
    """The text itself."""
    return Typed(fold_text(texts) if value.fold else texts, _none(texts))


def read_decimal(texts: pd.Series[Any], value: Value, entity: Entity) -> Typed:
    """A number such as `1.0`, `-2`, `1,149.5` (or with the marks the other way round), at most 4 decimals."""
    return _read_number(texts, entity.decimal_mark, currency="")


def read_money(texts: pd.Series[Any], value: Value, entity: Entity) -> Typed:
    """An amount such as `$7.00`, `-$2.34`, `($33.62)`, `$1,149.00 `, `0,90 €`, `16`."""
    return _read_number(texts, entity.decimal_mark, currency=f"{_CURRENCY}?")


def read_cents(texts: pd.Series[Any], value: Value, entity: Entity) -> Typed:
    """Whole cents, as APIs send them: `1250` is 12.50."""
    read = pa.array(_read_number(texts, ".", currency="").values, _DECIMAL)
    cents = pc.if_else(pc.equal(pc.round(read), read), read, None)
    hundredth = pa.scalar(Decimal("0.01"))
    numbers = pc.cast(pc.multiply(cents, hundredth), _DECIMAL)
    return Typed(_series(numbers, texts.index), _unread(texts, numbers))


def _read_number(texts: pd.Series[Any], decimal_mark: str, currency: str) -> Typed:
    numbers = once_each(texts, lambda each: _numbers(each, decimal_mark, currency))
    return Typed(numbers, _unread(texts, pa.array(numbers, _DECIMAL)))


def _numbers(texts: pa.Array, decimal_mark: str, currency: str) -> pa.Array:
    """The numbers the texts spell; null where they spell none."""
    blankless = pc.replace_substring_regex(texts, _BLANKS, "")
    plain = pc.replace_substring(blankless, "\u2212", "-")
    if decimal_mark == ",":  # `1.0` beside `0,90 €`: a point not followed by exactly three digits parts no thousands
        plain = pc.replace_substring_regex(plain, r"^([^.,]*\d)\.(\d{1,2}|\d{4,})([^.,\d]*)$", r"\1,\2\3")
    number = _NUMBER[decimal_mark]
    signed_form = rf"(?:-?{currency}|{currency}-){number}{currency}-?"
    form = rf"^(?:{signed_form}|\(-?{currency}{number}{currency}\))$"
    fits = pc.and_(pc.match_substring_regex(plain, form), pc.match_substring_regex(plain, r"\d"))
    negative = pc.match_substring_regex(plain, r"[-(]")
    digits = pc.replace_substring_regex(plain, r"[^\d,.]", "")
    digits = pc.replace_substring(digits, "," if decimal_mark == "." else ".", "")
    digits = pc.replace_substring(digits, ",", ".") if decimal_mark == "," else digits
    digits = pc.replace_substring_regex(digits, r"(\.\d*?)0+$", r"\1")
    digits = pc.replace_substring_regex(digits, r"\.$", "")
    # Ten digits before the point and four behind are what core's columns hold.
    fits = pc.and_(fits, pc.match_substring_regex(digits, r"^\d{0,10}(\.\d{1,4})?$"))
    signed = pc.binary_join_element_wise(pc.if_else(negative, "-", ""), _zero_before_point(digits), "")
    return pc.cast(pc.if_else(fits, signed, None), _DECIMAL)


def _zero_before_point(digits: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(digits, r"^(\.|$)", r"0\1")


def read_boolean(texts: pd.Series[Any], value: Value, entity: Entity) -> Typed:
    """yes/no in the usual spellings."""
    lower = pc.utf8_lower(pa.array(texts, pa.string()))
    yes = pc.is_in(lower, value_set=pa.array(["true", "t", "yes", "y", "1", "active"]))
    no = pc.is_in(lower, value_set=pa.array(["false", "f", "no", "n", "0", "inactive"]))
    booleans = pc.if_else(pc.or_(yes, no), yes, None)
    return Typed(pd.Series(pd.array(booleans, pd.ArrowDtype(pa.bool_())), texts.index), _unread(texts, booleans))


def read_date(texts: pd.Series[Any], value: Value, entity: Entity) -> Typed:
    """A day, by the contract's forms in their order: pandas datetimes at midnight, without zone."""
    days = _read_moment(texts, value.formats or ["%Y-%m-%d"])
    return Typed(days, texts.notna() & days.isna())


def read_time(texts: pd.Series[Any], value: Value, entity: Entity) -> Typed:
    """A clock time, as the time since midnight."""
    moments = _read_moment(texts, value.formats or ["%H:%M:%S", "%H:%M"])
    return Typed(
        moments - pd.Timestamp("1900-01-01"), texts.notna() & moments.isna()
    )  # strptime's day for a time alone


def read_timestamp(texts: pd.Series[Any], value: Value, entity: Entity) -> Typed:
    """
    A moment: in UTC when the text names its offset, else local and without zone.

    One column must be of one kind: beside texts with an offset those without are unreadable, never a guess.
    """
    unique = pd.Series(texts.dropna().unique(), dtype=object)
    named = unique[unique.str.contains(_OFFSET)] if len(unique) else unique
    forms = [form for form in value.formats if "%z" in form] if value.formats else ["ISO8601"]
    if not forms or (not value.formats and named.empty):
        local = _read_moment(texts, value.formats or forms)
        return Typed(local, texts.notna() & local.isna())
    moments = pd.Series(pd.NaT, index=named.index, dtype="datetime64[ns, UTC]")
    for form in forms:
        moments = moments.fillna(pd.to_datetime(named, format=form, errors="coerce", utc=True))
    values = texts.astype(object).map(dict(zip(named, _near(moments), strict=True)))
    typed = pd.Series(pd.DatetimeIndex(pd.to_datetime(values, utc=True)), index=texts.index)
    return Typed(typed, texts.notna() & typed.isna())


def _read_moment(texts: pd.Series[Any], forms: list[str]) -> pd.Series[Any]:
    """Each different text is read once; a year of receipts has few days and at most 86,400 times."""
    codes, unique = pd.factorize(texts.astype(object))
    texts_once = pd.Series(unique, dtype=object)
    moments = pd.Series(pd.NaT, index=texts_once.index, dtype="datetime64[ns]")
    for form in forms:
        moments = moments.fillna(pd.to_datetime(texts_once, format=form, errors="coerce"))
    values = _near(moments).reindex(range(-1, len(texts_once))).to_numpy()[codes + 1]
    return pd.Series(values, index=texts.index)


def _near(moments: pd.Series[Any]) -> pd.Series[Any]:
    """Without the moments so far off that a time zone or a closing hour could move them out of what can be held."""
    return moments.where(moments.dt.year.between(1678, 2261))


def _unread(texts: pd.Series[Any], values: pa.Array) -> pd.Series[bool]:
    there = pc.is_valid(pa.array(texts, pa.string()))
    return pd.Series(pc.and_(there, pc.is_null(values)).to_numpy(zero_copy_only=False), index=texts.index)


def _none(texts: pd.Series[Any]) -> pd.Series[bool]:
    return pd.Series(False, index=texts.index)


def _series(values: pa.Array, index: pd.Index[Any]) -> pd.Series[Any]:
    return pd.Series(pd.array(values, pd.ArrowDtype(values.type)), index=index)


READERS: dict[str, Callable[[pd.Series[Any], Value, Entity], Typed]] = {
    "text": read_text,
    "decimal": read_decimal,
    "money": read_money,
    "cents": read_cents,
    "boolean": read_boolean,
    "date": read_date,
    "time": read_time,
    "timestamp": read_timestamp,
}
