"""Rules for ids that spreadsheets and data frames have spoiled."""

from __future__ import annotations

from datetime import date
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from transforms.formatted.values import once_each
from transforms.rules.rule import Ruled, case, rule


@rule(
    owner="Shop manager",
    reason="A column of ids with a gap in it is saved as floats by data tools: 150040 comes as 150040.0, and one "
    "receipt would become two.",
    last_review=date(2026, 11, 20),
    passes=[
        case("150040.0", "150040"),
        case("150040", "150040"),
        case("0012.00", "0012"),
        case("9007199254740993123", "9007199254740993123"),
        case("A17.0", "A17.0"),
    ],
    fails=[
        case("150040.5", "an id is a whole number"),
        case("1.5004E+05", "an id written as a power of ten has lost its digits"),
    ],
)
def whole_id(texts: pd.Series[Any]) -> Ruled:
    """An id written as a float is its whole number (`whole = true`); an id that lost its digits is refused."""
    fraction = _matches(texts, r"^[0-9]+[.,]0*[1-9][0-9]*$")
    power = _matches(texts, r"^[0-9]+([.,][0-9]+)?[eE][+-]?[0-9]+$")
    refusals = ((fraction, "an id is a whole number"), (power, "an id written as a power of ten has lost its digits"))
    return Ruled(once_each(texts, _whole).where(~(fraction | power), None), refusals)


def _whole(texts: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(texts, r"^([0-9]+)[.,]0+$", r"\1")


def _matches(texts: pd.Series[Any], form: str) -> pd.Series[bool]:
    found = pc.match_substring_regex(pa.array(texts, pa.string()), form)
    return pd.Series(pc.fill_null(found, False).to_numpy(zero_copy_only=False), index=texts.index)
