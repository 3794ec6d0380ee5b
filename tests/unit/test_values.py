"""Received texts as typed values: a table of cases per type, and no float anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.contract import Entity, Value
from transforms.formatted.values import NUMBER, READERS, TEXT, Typed, clean_text

NBSP, NARROW, THIN, MINUS = "\u00a0", "\u202f", "\u2009", "\u2212"
POINT = Entity.model_validate({"entity": "x", "kind": "stores", "columns": {"store": {"from": "x"}}})
COMMA = POINT.model_copy(update={"decimal_mark": ","})


def texts(values: Sequence[str | None]) -> pd.Series:
    return pd.Series(list(values), dtype=TEXT)


def read(kind: str, values: Sequence[str | None], entity: Entity = POINT, **value: Any) -> Typed:
    return READERS[kind](texts(values), Value.model_validate({"from": "x", "type": kind, **value}), entity)


def one(kind: str, text: str | None, entity: Entity = POINT, **value: Any) -> Any:
    """The value of one text; None where it is unreadable or nothing."""
    typed = read(kind, [text], entity, **value)
    found = typed.values.iloc[0]
    assert bool(typed.unreadable.iloc[0]) == (pd.isna(found) and text is not None)
    return None if pd.isna(found) else found


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("$7.00", "7"),
        ("-$2.34", "-2.34"),
        ("$-2.34", "-2.34"),
        ("($33.62)", "-33.62"),
        ("$1,149.00 ", "1149"),
        ("1,234,567.89", "1234567.89"),
        ("16", "16"),
        ("0", "0"),
        ("-0.00", "0"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1.2345", "1.2345"),
        ("1.23450000", "1.2345"),
        ("0012.50", "12.5"),
        (f"{MINUS}5.00", "-5"),
        (f"1{NBSP}149.50", "1149.5"),
        (f"1{NARROW}149.50", "1149.5"),
        (f"1{THIN}149.50", "1149.5"),
        (f"{NBSP}$7.00{NBSP}", "7"),
        ("€7.00", "7"),
        ("-€1,150.00", "-1150"),
        ("EUR 5", "5"),
        ("5 kr", "5"),
        ("9999999999.9999", "9999999999.9999"),
        ("99999999999", None),
        ("1.23456", None),
        ("1,14", None),
        ("12,34.5", None),
        ("1.2.3", None),
        ("--5", None),
        ("-", None),
        ("$", None),
        ("1e3", None),
        ("NaN", None),
        ("Infinity", None),
        ("12 Euro 50", None),
        ("ERROR", None),
        ("١٢", None),
    ],
)
def test_money_with_a_decimal_point(text: str, amount: str | None) -> None:
    assert one("money", text) == (None if amount is None else Decimal(amount))


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0,90 €", "0.9"),
        (f"0,90{NBSP}€", "0.9"),
        (f"1{NARROW}149,50 €", "1149.5"),
        ("1.149,50", "1149.5"),
        ("-1.149,50 €", "-1149.5"),
        ("1.149", "1149"),
        ("(0,90)", "-0.9"),
        ("1,149.50", None),
        ("1.14,9", None),
    ],
)
def test_money_with_a_decimal_comma(text: str, amount: str | None) -> None:
    assert one("money", text, COMMA) == (None if amount is None else Decimal(amount))


@pytest.mark.parametrize(
    ("text", "number"),
    [("1.0", "1"), ("-2", "-2"), ("1,149.5", "1149.5"), ("$1", None), ("1 kg", None), ("0.0001", "0.0001")],
)
def test_a_number_bears_no_currency(text: str, number: str | None) -> None:
    assert one("decimal", text) == (None if number is None else Decimal(number))


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1250", "12.50"),
        ("-3", "-0.03"),
        ("0", "0"),
        ("9999999999", "99999999.99"),
        ("12.5", None),
        ("12.505", None),
        ("12.0", "0.12"),
    ],
)
def test_cents_are_whole(text: str, amount: str | None) -> None:
    assert one("cents", text) == (None if amount is None else Decimal(amount))


@pytest.mark.parametrize("kind", ["money", "decimal", "cents"])
def test_no_number_is_a_float_on_its_way(kind: str) -> None:
    typed = read(kind, ["1", None, "x"])

    assert typed.values.dtype == NUMBER
    assert isinstance(typed.values.iloc[0], Decimal)
    assert list(typed.unreadable) == [False, False, True]


SPELLINGS = {
    "plain": lambda a: f"{a:f}",
    "dollar": lambda a: f"{'-' if a < 0 else ''}${abs(a):,f}",
    "brackets": lambda a: f"({abs(a):,f})" if a < 0 else f"{a:,f}",
    "code behind": lambda a: f"{a:,f} EUR",
    "minus sign": lambda a: f"{a:f}".replace("-", MINUS),
    "minus behind": lambda a: f"{abs(a):f}-" if a < 0 else f"{a:f}",
    "blanks": lambda a: f"{a:,f}".replace(",", NBSP),
    "zeros behind": lambda a: f"{a:.4f}000",
}
AMOUNT = st.integers(0, 4).flatmap(
    lambda places: st.decimals(Decimal(-9_999_999_999), Decimal(9_999_999_999), places=places)
)


@given(amount=AMOUNT, spelling=st.sampled_from(sorted(SPELLINGS)))
def test_an_amount_is_read_exactly_in_every_spelling(amount: Decimal, spelling: str) -> None:
    assert one("money", SPELLINGS[spelling](amount)) == amount


@given(amount=AMOUNT, blank=st.sampled_from(["", ".", NBSP, NARROW]))
def test_an_amount_with_a_comma_is_read_exactly(amount: Decimal, blank: str) -> None:
    text = f"{amount:,f}".replace(",", "_").replace(".", ",").replace("_", blank) + " €"

    assert one("money", text, COMMA) == amount


@pytest.mark.parametrize(
    ("text", "formats", "day"),
    [
        ("2026-07-01", [], "2026-07-01"),
        ("7/1/2026", ["%m/%d/%Y"], "2026-07-01"),
        ("1/7/2026", ["%d/%m/%Y"], "2026-07-01"),
        ("20260701", ["%Y%m%d"], "2026-07-01"),
        ("01.07.2026", ["%Y-%m-%d", "%d.%m.%Y"], "2026-07-01"),
        ("29/02/2028", ["%d/%m/%Y"], "2028-02-29"),
        ("2026-02-29", [], None),
        ("2026-13-01", [], None),
        ("13/13/2026", ["%d/%m/%Y"], None),
        ("2026-07-01 09:00", [], None),
        ("yesterday", [], None),
        ("0026-07-01", [], None),
        ("9999-12-31", [], None),
        ("2262-04-11", [], None),  # later than a time zone could move
        ("1677-09-22", [], None),
        (None, [], None),
    ],
)
def test_a_date_is_read_by_the_contract_s_form_alone(text: str | None, formats: list[str], day: str | None) -> None:
    assert one("date", text, format=formats) == (None if day is None else pd.Timestamp(day))


@pytest.mark.parametrize(
    ("text", "formats", "clock"),
    [
        ("09:00:56", [], "09:00:56"),
        ("09:00", [], "09:00:00"),
        ("00:00:00", [], "00:00:00"),
        ("23:59:59", [], "23:59:59"),
        ("10:41:00 AM", ["%I:%M:%S %p"], "10:41:00"),
        ("12:05 AM", ["%I:%M %p"], "00:05:00"),
        ("24:00:00", [], None),
        ("25:00", [], None),
        ("9 o'clock", [], None),
    ],
)
def test_a_clock_time_is_the_time_since_midnight(text: str, formats: list[str], clock: str | None) -> None:
    assert one("time", text, format=formats) == (None if clock is None else pd.Timedelta(clock))


def test_a_leap_second_belongs_to_its_own_night() -> None:
    assert one("time", "23:59:60") == pd.Timedelta("24:00:00")


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-07-01T10:00:00Z", "2026-07-01T10:00:00"),
        ("2026-07-01T10:00:00.250Z", "2026-07-01T10:00:00.250"),
        ("2026-07-01T10:00:00+02:00", "2026-07-01T08:00:00"),
        ("2026-07-01T10:00:00-0430", "2026-07-01T14:30:00"),
        ("2026-10-25T02:30:00+02:00", "2026-10-25T00:30:00"),
        ("2026-10-25T02:30:00+01:00", "2026-10-25T01:30:00"),
        ("2026-13-01T10:00:00Z", None),
        ("9999-01-01T00:00:00Z", None),
    ],
)
def test_a_moment_with_its_offset_is_utc(text: str, utc: str | None) -> None:
    assert one("timestamp", text) == (None if utc is None else pd.Timestamp(utc, tz="UTC"))


def test_moments_without_offset_stay_local_and_bear_no_zone() -> None:
    typed = read("timestamp", ["2026-07-01T10:00:00", "2026-07-01 23:59", None, "soon"])

    assert typed.values.dt.tz is None
    assert typed.values.iloc[0] == pd.Timestamp("2026-07-01T10:00:00")
    assert list(typed.unreadable) == [False, False, False, True]


def test_beside_moments_with_an_offset_one_without_is_unreadable_never_a_guess() -> None:
    typed = read(
        "timestamp", ["2026-07-01T10:00:00+02:00", "2026-07-01T10:00:00", "2026-07-01T10:00:00Z", "2026-07-01"]
    )

    assert list(typed.unreadable) == [False, True, False, True]
    assert list(typed.values.dropna()) == [pd.Timestamp("2026-07-01T08:00Z"), pd.Timestamp("2026-07-01T10:00Z")]


def test_a_form_with_an_offset_refuses_texts_without() -> None:
    typed = read("timestamp", ["2026-07-01T10:00:00+0200", "2026-07-01T10:00:00"], format="%Y-%m-%dT%H:%M:%S%z")

    assert list(typed.unreadable) == [False, True]


def test_a_column_of_moments_all_empty_is_read() -> None:
    assert read("timestamp", [None, None]).values.isna().all()
    assert read("date", [None, None]).values.isna().all()


@pytest.mark.parametrize(
    ("text", "truth"), [("true", True), ("Yes", True), ("1", True), ("N", False), ("inactive", False), ("ja", None)]
)
def test_yes_and_no_in_the_usual_spellings(text: str, truth: bool | None) -> None:
    assert one("boolean", text) == truth


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (" Bun ", "Bun"),
        ("", None),
        ("   ", None),
        (f"{NBSP}", None),
        ("ERROR", None),
        ("error", "error"),
        ("NONE", None),
        (None, None),
    ],
)
def test_blanks_around_a_text_and_texts_that_mean_nothing_go(text: str | None, kept: str | None) -> None:
    found = clean_text(texts([text]), ["", "ERROR", " NONE "]).iloc[0]

    assert (None if pd.isna(found) else found) == kept


def test_a_folded_text_has_one_case_and_single_blanks() -> None:
    assert one("text", "Matcha   LATTE É", fold=True) == "matcha latte é"
    assert one("text", "Matcha  Latte") == "Matcha  Latte"


@pytest.mark.parametrize("kind", sorted(READERS))
def test_an_empty_column_is_an_empty_column(kind: str) -> None:
    typed = read(kind, [])

    assert len(typed.values) == len(typed.unreadable) == 0


@pytest.mark.parametrize("kind", sorted(READERS))
@given(values=st.lists(st.none() | st.text(max_size=12), min_size=1, max_size=6))
def test_any_text_is_read_or_unreadable(kind: str, values: list[str | None]) -> None:
    typed = read(kind, values)

    there = pd.Series([value is not None for value in values])
    assert list(typed.unreadable) == list(there & typed.values.isna())
