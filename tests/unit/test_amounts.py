"""Arithmetic on columns of amounts: exact, unknown stays unknown, never a float."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.formatted import amounts
from transforms.formatted.values import NUMBER

EXACT = st.decimals(Decimal("-99999"), Decimal("99999"), places=4)


def column(*values: str | Decimal | None) -> pd.Series:
    return pd.Series([None if v is None else Decimal(v) for v in values], dtype=NUMBER)


def plain(values: pd.Series) -> list[Decimal | None]:
    return [None if pd.isna(value) else value for value in values]


def test_unknown_amounts_are_not_zeros() -> None:
    column_of_unknown = amounts.unknown(pd.RangeIndex(2))

    assert column_of_unknown.dtype == NUMBER
    assert plain(column_of_unknown) == [None, None]
    assert not amounts.is_zero(column_of_unknown).any()
    assert not amounts.is_negative(column_of_unknown).any()


@pytest.mark.parametrize(
    ("quantity", "price", "product"),
    [
        ("3", "1.10", "3.30"),
        ("0.5", "0.25", "0.13"),  # 0.125: half a cent goes up
        ("-0.5", "0.25", "-0.13"),  # and away from zero
        ("0.3333", "3", "1.00"),
        (None, "3", None),
        ("3", None, None),
        ("9999999999", "9999999999", None),  # more than core can hold
    ],
)
def test_quantity_times_price_is_rounded_to_the_cent_half_up(
    quantity: str | None, price: str | None, product: str | None
) -> None:
    assert plain(amounts.multiplied(column(quantity), column(price))) == [None if product is None else Decimal(product)]


@given(quantity=EXACT, price=EXACT)
def test_a_product_is_what_decimal_arithmetic_gives(quantity: Decimal, price: Decimal) -> None:
    exact = (quantity * price).quantize(Decimal("0.01"), ROUND_HALF_UP)

    assert plain(amounts.multiplied(column(quantity), column(price))) == [
        exact if abs(quantity * price) < 10**10 else None
    ]


@given(left=EXACT, right=EXACT)
def test_a_sum_is_exact(left: Decimal, right: Decimal) -> None:
    assert plain(amounts.added(column(left), column(right))) == [left + right]
    assert plain(amounts.negated(column(left))) == [-left]


def test_a_sum_with_an_unknown_side_is_unknown() -> None:
    assert plain(amounts.added(column("1", None), column(None, "1"))) == [None, None]


def test_more_than_two_decimals_are_found_whatever_their_sign() -> None:
    found = amounts.finer_than_cents(column("1.23", "1.234", "-1.2301", None, "0", "1.2300"))

    assert list(found) == [False, True, True, False, False, False]


def test_signs_and_zeros_are_told_apart() -> None:
    values = column("-0.01", "0", "0.01", None)

    assert list(amounts.is_negative(values)) == [True, False, False, False]
    assert list(amounts.is_zero(values)) == [False, True, False, False]


@pytest.mark.parametrize(
    ("values", "text"), [((), "0.00"), ((None,), "0.00"), (("0.10", "0.20", None), "0.30"), (("-5",), "-5.00")]
)
def test_a_total_is_text_with_two_decimals(values: tuple[str | None, ...], text: str) -> None:
    assert amounts.total(column(*values)) == text


def test_every_result_is_an_exact_decimal() -> None:
    one = column("1.5")

    for result in (
        amounts.added(one, one),
        amounts.multiplied(one, one),
        amounts.negated(one),
        amounts.unknown(one.index),
    ):
        assert result.dtype == NUMBER
