"""One question, one statement, one plan id; sums that would be wrong are refused with the allowed form."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from panpan.errors import UsageError
from panpan.local.initialise import initialise
from panpan.settings import Settings
from transforms.compiler import Answer, Query, cell_query, compile_query, keep_plan, read_plan, total

TODAY = date(2026, 5, 20)


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    settings: Settings = initialise(tmp_path / "home")
    return settings


def test_plan_is_one_statement_whose_values_are_parameters() -> None:
    hostile = "centro'; drop table core.sales; --"
    plan = compile_query(Query("revenue", ("store", "day"), {"channel": hostile}, "2026-05"), TODAY)

    assert plan.sql == (
        "select store_id as store, business_date as day, currency_code as currency_code, sum(net_amount) as value\n"
        "from marts.daily_store_sales\n"
        "where (channel)::text = %(where_channel)s and business_date between %(first_day)s and %(last_day)s\n"
        "group by 1, 2, 3\n"
        "order by 1, 2, 3"
    )
    assert plan.parameters == {
        "where_channel": hostile,
        "first_day": date(2026, 5, 1),
        "last_day": date(2026, 5, 31),
    }


def test_same_question_in_other_words_is_the_same_plan() -> None:
    asked = [
        Query("revenue", ("store", "day"), {"source": "pos", "channel": "store"}, "last-week"),
        Query("revenue", ("day", "store"), {"channel": "store", "source": "pos"}, "2026-05-11..2026-05-17"),
    ]
    assert len({compile_query(query, TODAY).plan_id for query in asked}) == 1


@pytest.mark.parametrize(
    "other",
    [
        Query("tickets", period="yesterday"),
        Query("revenue", ("store",), period="yesterday"),
        Query("revenue", where={"store": "centro"}, period="yesterday"),
        Query("revenue", period="today"),
        Query("revenue", period="yesterday", compare="previous-period"),
        Query("revenue", period="yesterday", as_of=datetime(2026, 5, 1, tzinfo=UTC)),
    ],
)
def test_another_question_is_another_plan(other: Query) -> None:
    assert compile_query(other, TODAY).plan_id != compile_query(Query("revenue", period="yesterday"), TODAY).plan_id


def test_cell_of_a_table_is_the_plan_of_its_figure_alone() -> None:
    table = compile_query(Query("revenue", ("store", "month"), {"channel": "store"}, "2026"), TODAY)
    row = {"store": "centro", "month": date(2026, 4, 1), "currency_code": "EUR", "value": Decimal(1)}
    alone = Query("revenue", where={"store": "centro", "channel": "store", "currency": "EUR"}, period="2026-04")

    assert compile_query(cell_query(table, row), TODAY).plan_id == compile_query(alone, TODAY).plan_id


def test_kept_plan_means_the_days_it_was_asked_for(home: Settings) -> None:
    plan = compile_query(Query("revenue", ("store",), {"source": "pos"}, "yesterday", "same-weekday-last-year"), TODAY)
    keep_plan(home, plan)

    again = read_plan(home, plan.plan_id)
    assert (again.plan_id, again.sql, again.parameters) == (plan.plan_id, plan.sql, plan.parameters)
    with pytest.raises(UsageError, match="there is no plan"):
        read_plan(home, "../settings")


@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        (Query("stock_on_hand"), "--by product or --by unit"),
        (Query("days_of_cover", period="2026-04"), "--as-of"),
        (Query("low_stock_products", period="last-week"), "leave --period out"),
    ],
)
def test_sum_that_would_be_wrong_is_refused_with_the_allowed_form(query: Query, allowed: str) -> None:
    with pytest.raises(UsageError) as refused:
        compile_query(query, TODAY)
    assert allowed in str(refused.value.next)


@pytest.mark.parametrize(
    ("metric", "by"), [("customers", "day"), ("customers", "store"), ("average_ticket", "store"), ("tickets", "moon")]
)
def test_rows_that_do_not_add_up_have_no_total(metric: str, by: str) -> None:
    with pytest.raises(UsageError):
        total(Answer(compile_query(Query(metric, (by,)), TODAY), None, []))


def test_total_never_adds_currencies() -> None:
    plan = compile_query(Query("revenue", ("store",)), TODAY)
    rows: list[dict[str, Any]] = [
        {"store": "a", "currency_code": "EUR", "value": Decimal("1.10")},
        {"store": "a", "currency_code": "USD", "value": Decimal(5)},
        {"store": "b", "currency_code": "EUR", "value": Decimal("2.20")},
        {"store": "c", "currency_code": "EUR", "value": None},
    ]
    assert total(Answer(plan, None, rows)) == [
        {"currency_code": "EUR", "value": Decimal("3.30")},
        {"currency_code": "USD", "value": Decimal(5)},
    ]


@pytest.mark.parametrize(
    ("by", "period", "comparison"),
    [
        (("week",), "2026-03", "previous-period"),
        (("month",), "2026-03", "same-weekday-last-year"),
        ((), "all", "previous-period"),
        ((), "last-week", "last-decade"),
    ],
)
def test_comparison_without_partners_is_refused(by: tuple[str, ...], period: str, comparison: str) -> None:
    with pytest.raises(UsageError):
        compile_query(Query("revenue", by, period=period, compare=comparison), TODAY)


def test_plan_asked_by_many_at_once_is_kept_whole(home: Settings) -> None:
    plan = compile_query(Query("revenue", period="2026-05"), TODAY)

    with ThreadPoolExecutor(8) as askers:
        list(askers.map(lambda _: keep_plan(home, plan), range(40)))

    assert [file.name for file in home.plans.iterdir()] == [f"{plan.plan_id}.json"]
    assert read_plan(home, plan.plan_id) == plan
