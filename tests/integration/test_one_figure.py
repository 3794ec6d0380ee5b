"""One definition: the same cell through all doors is one figure and one plan id."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from typer.testing import CliRunner

from metabase import answers, catalogue
from metabase.parameters import Filters
from panpan.ask.answering import ask as ask_in_words
from panpan.cli.app import assembled
from panpan.settings import Settings
from transforms.compiler import Query, cell_query, compile_query, evaluate, read_plan
from transforms.goals import Goal, read_progress, refresh_goals
from transforms.periods import business_today
from transforms.run import run

app = assembled()

TILL = "Transaction ID,Event Type,Date,Time,Location,SKU,Item,Qty,Gross Sales,Discounts,Net Sales,Tax,Payment ID\n"
FIRST = date(2026, 4, 20)
APRIL = Goal(
    name="april",
    title="Sell more",
    metric="revenue",
    where={"currency": "EUR"},
    base_period="2026-04-20..2026-04-24",
    change_percent=10,
    start=date(2026, 4, 25),
    end=date(2026, 5, 24),
    measured="added up since the start",
    owner="Owner",
)
# Questions of the dashboards: what their columns mean in the catalogue, and the days a row speaks of.
SAME = {
    "sales_per_store_by_day": ({"net_amount": "revenue"}, "business_date"),
    "sales_per_store_by_month": ({"net_amount": "revenue"}, "month"),
    "tickets_per_store": (
        {
            "net_amount": "revenue",
            "ticket_count": "tickets",
            "average_ticket_amount": "average_ticket",
            "refund_amount": "refunds",
        },
        "first_day",
    ),
}


@pytest.fixture(scope="module")
def business(new_warehouse: Any) -> Iterator[Settings]:
    with new_warehouse() as settings:
        yield settings


@pytest.fixture
def sold(business: Settings, deliver: Any, ask: Any) -> Settings:
    """Two stores over 30 days, with refunds; made once."""
    if not ask("select count(*) from ops.loads", settings=business)[0][0]:
        lines = []
        for n in range(90):
            day, store = FIRST + timedelta(days=n % 30), "PanPan Centro" if n % 2 else "PanPan Norte"
            euros = f"{n % 7 + 1}.{n % 100:02d}"
            back = n % 11 == 0
            signed = f"-{euros}" if back else euros
            kind, quantity = ("Refund", "-1") if back else ("Payment", "1")
            lines.append(f"R{n},{kind},{day},12:00:00,{store},BUN,Bun,{quantity},{signed},0,{signed},0.1,P{n}\n")
        deliver("pos", TILL + "".join(lines), settings=business)
        run(business)
    return business


@pytest.mark.parametrize("name", SAME)
def test_question_of_a_dashboard_says_what_the_metric_says_cell_by_cell(sold: Settings, name: str) -> None:
    columns, begins = SAME[name]
    with answers.snapshot(sold) as connection:
        answer = answers.ask(connection, catalogue.load_catalogue().questions[name], Filters())
    assert answer.failure is None
    compared = 0
    for row in answer.records():
        first = row[begins]
        month_after = (first + timedelta(days=32)).replace(day=1)
        ends = {"business_date": first, "month": month_after - timedelta(days=1), "first_day": row["last_day"]}
        last = ends[begins]
        where = {"store": row["store_id"], "currency": row["currency_code"]}
        for column, metric in columns.items():
            query = Query(metric, where=where, period=f"{first}..{last}")
            found = evaluate(sold, compile_query(query, date(2026, 6, 1))).rows
            assert [each["value"] for each in found] == [row[column]], (row, metric)
            compared += 1
    assert compared >= 4


def test_command_words_goal_and_cell_name_one_plan(sold: Settings) -> None:
    """Each door on its own; the plan leads back to the question."""
    today = business_today(sold)
    refresh_goals(sold, date(2026, 6, 1), [APRIL])
    [goal] = read_progress(sold)
    period = f"{APRIL.start}..{goal['day']}"
    words = ["value", "revenue", "--where", "currency=EUR", "--period", period, "--home", str(sold.home), "--json"]
    commanded = json.loads(CliRunner().invoke(app, words).stdout)
    table = compile_query(Query("revenue", where={}, period=period), today)
    [row] = evaluate(sold, table).rows

    plans = {goal["plan_id"], commanded["plan_id"], compile_query(cell_query(table, row), today).plan_id}
    figures = {goal["value"], Decimal(commanded["rows"][0]["value"]), row["value"]}
    assert (len(plans), len(figures)) == (1, 1)
    assert read_plan(sold, plans.pop()).query.metric == "revenue"


def test_words_and_command_name_one_plan(sold: Settings) -> None:
    today = date(2026, 5, 20)
    reply = ask_in_words(sold, "revenue in April 2026", today)
    plan = compile_query(Query("revenue", period="2026-04"), today)

    assert reply.plan
    assert reply.plan.plan_id == plan.plan_id
    assert reply.rows[0]["value"] == evaluate(sold, plan).rows[0]["value"]
