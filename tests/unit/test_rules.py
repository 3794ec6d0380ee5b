"""Each rule does what its examples say; the page and the commands say the same; the arithmetic is exact."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from panpan.cli import rules as command
from panpan.errors import CheckFailed, UsageError
from transforms.formatted import amounts
from transforms.formatted.values import NUMBER, TEXT
from transforms.rules import catalogue, ids, money, people, products, receipts
from transforms.rules.catalogue import page, rules, try_rule
from transforms.rules.rule import Rule, Ruled, case, rule

CHECKOUT = Path(__file__).resolve().parents[2]
CENT = Decimal("0.01")
CENTS = st.integers(-(10**11), 10**11)
EXACT = st.decimals(Decimal("-99999"), Decimal("99999"), places=4)
each_rule = pytest.mark.parametrize("known", rules().values(), ids=rules())


def column(*values: Any) -> pd.Series:
    return pd.Series([None if v is None else Decimal(v) for v in values], dtype=NUMBER)


def plain(values: pd.Series) -> list[Any]:
    return [None if pd.isna(value) else value for value in values]


def text(*values: str | None) -> pd.Series:
    return pd.Series(list(values), dtype=TEXT)


# --- examples, page, commands ------------------------------------------------------------------------------


@each_rule
def test_examples_hold(known: Rule) -> None:
    assert [tried for tried in try_rule(known) if tried.found is not None] == []


@each_rule
def test_rule_says_who_why_and_when_and_has_examples_both_ways(known: Rule) -> None:
    assert known.passes
    assert known.fails
    assert known.owner
    assert known.reason.endswith(".")
    assert known.sentence.endswith(".")
    assert known.version >= 1
    assert date(2026, 1, 1) <= known.last_review <= date(2099, 1, 1)


@each_rule
def test_rule_is_what_really_runs(known: Rule) -> None:
    """A rule nobody calls would be a promise, not a rule."""
    callers = [*(CHECKOUT / "transforms" / "formatted").glob("*.py"), CHECKOUT / "transforms" / "contract.py"]
    source = "\n".join(path.read_text(encoding="utf-8") for path in callers)
    # The key of a name and the ban on tokens stand below the rules: the reader of texts, the contract's own check.
    called = {"product_key": r"fold_text\(", "product_token": r"is_recreated_id\("}.get(
        known.name, rf"\b{known.name}\("
    )

    assert re.search(called, source)


def test_page_is_what_the_rules_say() -> None:
    written = (CHECKOUT / "docs" / "rules.md").read_text(encoding="utf-8")

    assert written == page(), "run: python -m panpan.documentation"


def test_an_example_that_lies_is_found() -> None:
    phone = rules()["phone"]
    lying = replace(
        phone,
        passes=(case("600", "+34600", country="ES"), case("612 345 678", "+34", country="ES")),
        fails=(case("612 345 678", "no phone number that can exist", country="ES"), case("600", "why", country="ES")),
    )

    assert [tried.found for tried in try_rule(lying)] == [
        "refused: no phone number that can exist",
        "+34612345678",
        "not refused",
        "refused: no phone number that can exist",
    ]


def test_two_rules_of_one_name_are_refused() -> None:
    def email(texts: pd.Series) -> Ruled:
        return Ruled(texts)

    with pytest.raises(ValueError, match="two rules called email"):
        rule(owner="x", reason="x", last_review=date(2026, 1, 1), passes=[], fails=[])(email)


@pytest.fixture
def panpan() -> Callable[..., Any]:
    app = typer.Typer()
    command.register(app)
    return lambda *words: CliRunner().invoke(app, ["rules", *words])


def test_list_names_every_rule(panpan: Callable[..., Any]) -> None:
    told = json.loads(panpan("list", "--json").stdout)

    assert told["ok"] is True
    assert [each["rule"] for each in told["rules"]] == list(rules())
    assert all({"does", "owner", "version", "last_review"} <= set(each) for each in told["rules"])
    assert "largest remainder" in panpan("list").stdout


def test_show_gives_reason_and_examples(panpan: Callable[..., Any]) -> None:
    told = json.loads(panpan("show", "phone", "--json").stdout)
    shown = panpan("show", "phone").stdout

    assert {"given": "612 345 678", "with": {"country": "ES"}, "gives": "+34612345678"} in told["passes"]
    assert told["fails"][0]["gives"] == "no phone number that can exist"
    assert "refused: no phone number that can exist" in shown
    assert isinstance(panpan("show", "nonsense").exception, UsageError)


def test_test_says_how_many_examples_hold(panpan: Callable[..., Any]) -> None:
    told = json.loads(panpan("test", "--json").stdout)

    assert told["ok"] is True
    assert (told["rules"], told["broken"]) == (len(rules()), [])
    assert panpan("test", "phone").stdout == "1 rules, 12 examples hold\n"


def test_test_ends_with_3_when_an_example_does_not_hold(
    panpan: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = replace(rules()["email"], passes=(case("a@b.org", "c@d.org"),))
    monkeypatch.setattr(command, "rules", lambda: {"email": broken})

    said = panpan("test", "--json")
    talked = panpan("test")

    assert said.exit_code == 3
    assert json.loads(said.stdout)["broken"] == [{"rule": "email", "example": "passes 1", "found": "a@b.org"}]
    assert isinstance(talked.exception, CheckFailed)
    assert talked.exception.exit_code == 3


# --- texts -------------------------------------------------------------------------------------------------

TEXT_RULES = {
    "person_name": people.person_name,
    "email": people.email,
    "phone": lambda texts: people.phone(texts, "ES"),
    "loyalty_card": people.loyalty_card,
    "product_key": products.product_key,
    "product_name": products.product_name,
    "whole_id": ids.whole_id,
}


@pytest.mark.parametrize("name", sorted(TEXT_RULES))
@given(values=st.lists(st.none() | st.text(max_size=20), max_size=5))
def test_a_text_rule_done_twice_is_done_once(name: str, values: list[str | None]) -> None:
    once = TEXT_RULES[name](text(*values)).values

    twice = TEXT_RULES[name](once).values

    assert plain(once) == plain(twice)
    assert len(once) == len(values)


@given(name=st.text(alphabet="áéíóúüñçÁÉÍÓÚÜÑÇabcXYZ ", min_size=1).filter(lambda t: t.strip()))
def test_no_letter_of_a_name_is_lost(name: str) -> None:
    [told] = people.person_name(text(name)).values

    assert told.casefold().replace(" ", "") == name.casefold().replace(" ", "")


@given(
    number=st.integers(600_000_000, 699_999_999),
    spelled=st.sampled_from(["{}", "+34{}", "0034 {}", "(+34) {} mañanas"]),
)
def test_every_spelling_of_a_number_is_one_number(number: int, spelled: str) -> None:
    digits = f"{number}"
    parted = f"{digits[:3]} {digits[3:6]}-{digits[6:]}"

    told = people.phone(text(spelled.format(digits), spelled.format(parted)), "ES").values

    assert set(told) == ({f"+34{number}"} if len(set(digits)) > 1 else {None})


# --- exact arithmetic --------------------------------------------------------------------------------------


@given(values=st.lists(st.none() | EXACT, max_size=6))
def test_amounts_survive_whole_numbers(values: list[Decimal | None]) -> None:
    whole, known = amounts.parts(column(*values))

    assert whole.dtype == np.int64
    assert plain(amounts.of_parts(whole, known, pd.RangeIndex(len(values)))) == values


def test_parts_of_a_slice_are_those_of_the_slice() -> None:
    values = column("1.5", None, "-2.25", "3")

    whole, known = amounts.parts(values.iloc[1:3])

    assert list(whole) == [0, -22_500]
    assert list(known) == [False, True]


@given(value=EXACT, over=st.integers(1, 10**6), under=st.integers(1, 10**6))
def test_times_over_is_what_decimal_arithmetic_gives(value: Decimal, over: int, under: int) -> None:
    exact = (value * over / under).quantize(Decimal("0.0001"), ROUND_HALF_UP)

    assert plain(amounts.times_over(column(value), over, under)) == [exact if abs(exact) < 10**10 else None]


@given(value=EXACT, quantity=EXACT)
def test_divided_is_what_decimal_arithmetic_gives(value: Decimal, quantity: Decimal) -> None:
    exact = (value / quantity).quantize(Decimal("0.0001"), ROUND_HALF_UP) if quantity else None

    assert plain(amounts.divided(column(value), column(quantity))) == [exact]


@given(
    paid=st.lists(CENTS, min_size=1, max_size=5),
    rate=st.sampled_from(["0.04", "0.10", "0.21", "0.0725", "0", "0.5"]).map(Decimal),
)
def test_net_and_tax_are_what_was_paid(paid: list[int], rate: Decimal) -> None:
    total = column(*(CENT * p for p in paid))
    rows = pd.DataFrame({"gross_amount": total, "discount_amount": column(*[0] * len(paid)), "net_amount": total})
    rows["tax_amount"] = amounts.unknown(rows.index)

    ruled = money.tax(rows, included=True, rate=rate)

    assert not any(mask.any() for mask, _ in ruled.refusals)
    told = ruled.values
    for had, net, tax, gross in zip(total, told["net_amount"], told["tax_amount"], told["gross_amount"], strict=True):
        assert net + tax == had
        assert net == gross == (had / (1 + rate)).quantize(CENT, ROUND_HALF_UP)


@given(
    shares=st.lists(st.tuples(st.integers(0, 2), st.integers(-(10**9), 10**9)), min_size=1, max_size=12),
    totals=st.tuples(CENTS, CENTS, CENTS),
)
def test_a_spread_amount_adds_up_and_each_share_is_within_a_cent(
    shares: list[tuple[int, int]], totals: tuple[int, int, int]
) -> None:
    receipts_of = [receipt for receipt, _ in shares]
    codes = {receipt: place for place, receipt in enumerate(dict.fromkeys(receipts_of))}
    group = np.array([codes[receipt] for receipt in receipts_of], dtype=np.int64)
    total = np.array([totals[receipt] for receipt in receipts_of], dtype=np.int64)
    weight = np.array([w for _, w in shares], dtype=np.int64)

    found = money.spread(total, weight, group)

    for receipt, code in codes.items():
        own = [int(share) for share, g in zip(found, group, strict=True) if g == code]
        weights = [abs(int(w)) for w, g in zip(weight, group, strict=True) if g == code]
        weights = weights if any(weights) else [1] * len(weights)
        assert sum(own) == totals[receipt]
        for share, w in zip(own, weights, strict=True):
            assert abs(share * sum(weights) - totals[receipt] * w) < sum(weights)


def test_equal_rests_go_to_the_earlier_lines_whatever_stands_between() -> None:
    group = np.array([0, 1, 0, 1, 0])

    found = money.spread(np.array([200, -100, 200, -100, 200]), np.array([1, 1, 1, 2, 1]), group)

    assert list(found) == [67, -33, 67, -67, 66]


def test_nothing_to_spread_is_nothing() -> None:
    empty = np.zeros(0, np.int64)

    assert list(money.spread(empty, empty, empty)) == []


# --- whole receipts ----------------------------------------------------------------------------------------


@given(
    receipts_of=st.lists(st.sampled_from("ab"), max_size=12), size=st.integers(1, 5), day=st.sampled_from(["1", "2"])
)
def test_tables_end_where_a_receipt_does_and_no_row_is_lost(receipts_of: list[str], size: int, day: str) -> None:
    numbers = [f"{place // 3}{letter}" for place, letter in enumerate(receipts_of)]
    rows = pa.table({"number": pa.array(numbers, pa.string()), "day": pa.array([day] * len(numbers), pa.string())})
    tables = [rows.slice(start, size) for start in range(0, rows.num_rows, size)]

    found = list(receipts.whole_receipts(tables, ["number", "day", "absent"]))

    assert [n for table in found for n in table["number"].to_pylist()] == numbers
    for left, right in pairwise(found):
        assert left["number"][-1] != right["number"][0]


def test_catalogue_knows_every_module_of_rules() -> None:
    modules = {path.stem for path in (CHECKOUT / "transforms" / "rules").glob("*.py")} - {
        "__init__",
        "rule",
        "catalogue",
    }

    assert {module.__name__.rpartition(".")[2] for module in catalogue.MODULES} == modules
