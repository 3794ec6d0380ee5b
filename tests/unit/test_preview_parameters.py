"""Filters: Metabase's notation in, bound parameters out; no value ever becomes part of the statement."""

from __future__ import annotations

from datetime import date

import pytest

from metabase.parameters import Filters, check_notation, compile_sql, tag_names
from panpan.errors import ContractError, UsageError

OPTIONAL = "select a from t where true [[and source = {{source}}]] [[and day >= {{date_from}}]]"


def test_a_clause_goes_when_its_value_is_missing() -> None:
    assert compile_sql(OPTIONAL, {}) == ("select a from t where true  ", {})
    assert compile_sql(OPTIONAL, {"source": None, "date_from": None}) == ("select a from t where true  ", {})


def test_a_clause_stays_with_its_value_bound() -> None:
    text, values = compile_sql(OPTIONAL, {"source": "pos", "currency": "EUR"})

    assert text == "select a from t where true and source = %(source)s "
    assert values == {"source": "pos"}


def test_a_clause_of_two_values_needs_both() -> None:
    sql = "select a from t where true [[and day between {{date_from}} and {{date_to}}]]"

    assert "between" not in compile_sql(sql, {"date_from": date(2026, 1, 1)})[0]
    assert "between" in compile_sql(sql, {"date_from": date(2026, 1, 1), "date_to": date(2026, 2, 1)})[0]


def test_a_required_value_that_is_missing_is_named() -> None:
    with pytest.raises(UsageError, match="source"):
        compile_sql("select a from t where source = {{source}}", {})


ATTACKS = [
    "'; drop table marts.data_freshness; --",
    "x' or '1'='1",
    "{{currency}}",
    "]] or true [[",
    "%(x)s",
    "\\'",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_value_never_enters_the_statement(attack: str) -> None:
    harmless, _ = compile_sql(OPTIONAL, {"source": "pos"})

    text, values = compile_sql(OPTIONAL, {"source": attack})

    assert text == harmless
    assert values == {"source": attack}


def test_percent_signs_of_the_statement_are_kept() -> None:
    text, values = compile_sql("select a % 2 from t where b like 'x%'", {})

    assert text % values == "select a % 2 from t where b like 'x%'"


BROKEN = [
    "select a from t where a = '{{source}}'",  # inside a text it would not be a parameter
    "select a from t -- {{source}}",
    'select "{{source}}" from t',
    "select a from t where a = {{password}}",
    "select a from t where true [[and a = 1]]",
    "select a from t where true [[and a = {{source}} [[and b = {{currency}}]]]]",
    "select a from t where true [[and a = {{source}}",
    "select a from t where true and a = {{source}}]]",
    "select a from t where a = {{source",
    "select a from t where a = {{source; drop}}",
]


@pytest.mark.parametrize("sql", BROKEN)
def test_broken_notation_is_refused(sql: str) -> None:
    with pytest.raises(ContractError):
        check_notation(sql)


def test_each_filter_is_listed_once() -> None:
    assert tag_names(OPTIONAL + OPTIONAL) == ["source", "date_from"]


def test_filters_of_an_address() -> None:
    read = Filters.from_query({"source": " pos ", "date_from": "2026-05-01", "date_to": "", "other": "x"})

    assert read == Filters(source="pos", date_from=date(2026, 5, 1))
    assert read.given() == {"source": "pos", "date_from": date(2026, 5, 1)}


REFUSED = [
    {"date_from": "yesterday"},
    {"date_from": "2026-02-30"},
    {"date_to": "20260501"},
    {"date_to": "2026-05-01'; select 1"},
    {"date_from": "\uff12026-05-01"},
    {"date_from": "2026-05-02", "date_to": "2026-05-01"},
    {"source": "a\x00b"},
    {"source": "x" * 201},
    {"currency": "E\nUR"},
]


@pytest.mark.parametrize("query", REFUSED)
def test_filters_that_make_no_sense_are_refused_in_words(query: dict[str, str]) -> None:
    with pytest.raises(UsageError) as refused:
        Filters.from_query(query)
    assert refused.value.next
