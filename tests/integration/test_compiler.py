"""Figures through the compiler on a real warehouse: comparisons, plans that lead back, and what was known before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from panpan.errors import UsageError
from panpan.settings import Settings
from transforms.asof import MARTS, rows_as_of
from transforms.compiler import Answer, Query, compile_query, evaluate
from transforms.metrics import load_metrics
from transforms.run import run
from transforms.trace import trace

TODAY = date(2026, 5, 20)
TILL = "Transaction ID,Event Type,Date,Time,Location,SKU,Item,Qty,Gross Sales,Discounts,Net Sales,Tax,Customer ID\n"


def receipt(number: str, day: str, euros: str, store: str = "PanPan Centro", customer: str = "") -> str:
    return f"{number},Payment,{day},12:00:00,{store},BUN,Bun,1,{euros},0,{euros},0.10,{customer}\n"


@pytest.fixture
def load(warehouse: Settings, deliver: Any) -> Any:
    def put(*receipts: str) -> None:
        deliver("pos", TILL + "".join(receipts), settings=warehouse)
        run(warehouse)

    return put


@pytest.fixture
def figure(warehouse: Settings) -> Iterator[Any]:
    def ask(metric: str, *by: str, **more: Any) -> Answer:
        return evaluate(warehouse, compile_query(Query(metric, by, **more), TODAY))

    yield ask


def test_comparison_stands_beside_each_row(load: Any, figure: Any) -> None:
    load(
        receipt("1", "2026-05-18", "10.00"),  # a Monday, as 2026-05-11 and 2025-05-19
        receipt("2", "2026-05-11", "8.00"),
        receipt("3", "2026-05-18", "5.00", "PanPan Norte"),
        receipt("4", "2025-05-19", "4.00"),
        receipt("5", "2026-05-12", "1.00"),
    )

    week = figure("revenue", "store", period="2026-05-18", compare="same-weekday-last-week").rows
    assert [(row["store"], row["value"], row["compared"], row["change"], row["change_share"]) for row in week] == [
        ("centro", Decimal("10.00"), Decimal("8.00"), Decimal("2.00"), Decimal("0.2500")),
        ("norte", Decimal("5.00"), None, None, None),
    ]
    year = figure("revenue", period="2026-05-18", compare="same-weekday-last-year").rows
    assert [(row["value"], row["compared"]) for row in year] == [(Decimal("15.00"), Decimal("4.00"))]
    days = figure("revenue", "day", period="2026-05-18..2026-05-24", compare="same-weekday-last-week").rows
    assert [(row["day"].day, row["value"], row["compared"]) for row in days] == [
        (18, Decimal("15.00"), Decimal("8.00")),
        (19, None, Decimal("1.00")),
    ]


def test_what_was_known_before_a_correction_can_be_said_again(
    warehouse: Settings, load: Any, figure: Any, ask: Any
) -> None:
    load(receipt("1", "2026-05-18", "10.00", customer="A"))
    [(then,)] = ask("select max(known_at) from ops.runs")
    load(receipt("1", "2026-05-18", "12.00", customer="A"), receipt("2", "2026-05-18", "1.00", customer="B"))

    now, before = figure("revenue", period="2026-05"), figure("revenue", period="2026-05", as_of=then)
    assert (now.rows[0]["value"], before.rows[0]["value"]) == (Decimal("13.00"), Decimal("10.00"))
    published = ask(
        "select distinct on (store_id, source, channel, business_date) value from marts.published_figures "
        "where metric = 'revenue' and known_at <= %s order by store_id, source, channel, business_date, known_at desc",
        then,
    )
    assert sum(value for (value,) in published) == before.rows[0]["value"]
    assert figure("customers", as_of=then).rows == [{"value": 1}]
    assert figure("customers").rows == [{"value": 2}]
    for answer in (now, before):
        led_back = trace(warehouse, f"plan:{answer.plan.plan_id}", TODAY)
        assert (led_back.value, led_back.is_equal) == (answer.rows[0]["value"], True)


@pytest.fixture
def stocked(warehouse: Settings, deliver: Any, load: Any) -> None:
    """A business with two months of sales of known customers, and of flour."""
    load(
        receipt("1", "2026-03-10", "10.00", customer="A"),
        receipt("2", "2026-03-11", "8.00", customer="B"),
        receipt("3", "2026-04-10", "6.00", "PanPan Norte", customer="A"),
        receipt("4", "2026-05-19", "3.00"),
    )
    flour = {"item_id": "1", "sku": "FLOUR", "name": "Flour", "unit": "kg", "purchase_rate": 2}
    level = {"item_id": "1", "location_id": "W-NORTE", "sku": "FLOUR", "on_hand": "30", "reorder_level": "40"}
    moves = [
        {
            "movement_id": f"M{number}",
            "sku": "FLOUR",
            "location_id": "W-NORTE",
            "kind": kind,
            "quantity": quantity,
            "unit_cost": "2",
            "moved_at": f"{day}T12:00:00+02:00",
            "last_modified_time": f"{day}T12:00:00+02:00",
        }
        for number, (day, kind, quantity) in enumerate(
            [("2026-04-01", "opening", "100"), ("2026-04-20", "use", "-40"), ("2026-05-05", "waste", "-30")]
        )
    ]
    deliver("inventory", json.dumps({"items": [flour]}), "items", settings=warehouse)
    deliver("inventory", json.dumps({"levels": [level]}), "levels", settings=warehouse)
    deliver("inventory", json.dumps({"movements": moves}), "movements", settings=warehouse)
    run(warehouse)


@pytest.mark.usefixtures("stocked")
def test_levels_are_those_of_the_end_of_the_period_and_months_never_add_up(figure: Any) -> None:
    assert figure("stock_on_hand", "product").rows == [{"product": "Flour", "value": 30}]
    assert figure("stock_on_hand", "product", period="2026-04").rows == [{"product": "Flour", "value": 60}]
    assert figure("stock_on_hand", "product", period="2026-04-01..2026-05-31").rows[0]["value"] == 30
    assert figure("inventory_value", period="2026-04").rows == [{"currency_code": "EUR", "value": 120}]
    assert figure("inventory_cost", period="2026-04").rows[0]["value"] == 160, "the mean of 200 and 120"
    assert figure("inventory_turnover", period="2026-04").rows[0]["value"] == Decimal("0.50")
    for period in ("2026-04-10", "last-30-days"):
        with pytest.raises(UsageError) as refused:
            figure("stock_on_hand", "product", period=period)
        assert "whole months" in str(refused.value.next)
    assert figure("retention_rate", period="2026-04").rows == [{"value": Decimal("0.5000")}]
    assert figure("churn", period="2026-04").rows == [{"value": Decimal("0.5000")}]
    assert figure("retention_rate", period="2026-05").rows == [{"value": None}], "May is not over"


@pytest.mark.usefixtures("stocked")
def test_what_is_known_now_is_what_the_marts_say_for_every_metric(figure: Any) -> None:
    now = datetime.now(UTC)
    compared = 0
    for metric in load_metrics().values():
        for reading in metric.readings:
            if reading.mart == "data_freshness":
                continue
            days = [name for name in ("day", "month") if name in reading.dimensions][:1]
            by = [*days, *reading.split_by]
            compared += len(figure(metric.name, *by).rows)
            assert figure(metric.name, *by, as_of=now).rows == figure(metric.name, *by).rows, (metric.name, by)
    assert compared > 60


@pytest.mark.usefixtures("stocked")
def test_every_mart_as_known_now_is_the_mart(warehouse: Settings, ask: Any) -> None:
    for mart, table in MARTS.items():
        found = rows_as_of(warehouse, datetime.now(UTC), f"marts.{mart}")

        held = ask(f"select * from marts.{mart} order by {', '.join(table.keys)}")  # noqa: S608  # names of our own
        assert held, mart
        assert [tuple(row.values()) for row in found] == held, mart


def test_figure_without_a_past_says_so(figure: Any) -> None:
    with pytest.raises(UsageError, match="has no past"):
        figure("data_freshness", as_of=datetime(2026, 5, 1, tzinfo=UTC))
