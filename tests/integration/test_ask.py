"""
Questions over a small business of three stores: every figure is worked out again here from core, by SQL of its own.

Asked on Thursday 25 June 2026. The questions and what they mean are in tests/fixtures/ask, written by hand.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from psycopg2 import sql
from starlette.requests import Request

from db.connection import connect
from metabase.formats import write_money
from metabase.preview import Preview
from panpan.ask.answering import Reply, ask
from panpan.catalogue import entries
from panpan.governance import graph
from panpan.settings import CHECKOUT, Settings
from panpan.web.app import Pages
from transforms.metrics import load_metrics
from transforms.run import run
from transforms.sales_forecast import read_outlook, refresh_forecast

TODAY = date(2026, 6, 25)
FIRST, LAST = date(2025, 4, 1), date(2026, 6, 24)
FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "ask"
TILL = (
    "Transaction ID,Event Type,Date,Time,Location,SKU,Item,Category,Qty,Gross Sales,Discounts,Net Sales,Tax,"
    "Payment ID,Customer ID,Dining Option"
)
STORES = ("PanPan Centro", "PanPan Norte", "PanPan Playa")
GOODS = (
    ("CRO", "Croissant", "Pastry", 185),
    ("BAG", "Baguette", "Bread", 170),
    ("FOC", "Focaccia de romero", "Bread", 590),
    ("LAT", "Café con leche", "Coffee", 240),
    ("TEA", "Green Tea", "Tea", 210),
)
Questions = list[dict[str, Any]]


def questions(*names: str) -> Questions:
    """The questions of some fixture files; days that YAML did not read as text are texts."""
    return [each for name in names for each in yaml.safe_load((FIXTURES / f"{name}.yaml").read_text(encoding="utf-8"))]


ANSWERED = questions("answered_english", "answered_spanish")
UNANSWERABLE = questions("unanswerable")
AMBIGUOUS = questions("ambiguous")
asked = pytest.mark.parametrize


@pytest.fixture(scope="module")
def business(new_warehouse: Callable[[], AbstractContextManager[Settings]], deliver_into: Any) -> Iterator[Settings]:
    """Fifteen months of tills, delivery orders, stock and waste, made up by counting."""
    with new_warehouse() as settings:
        deliver_into(settings, "pos", till_export())
        deliver_into(settings, "pos_api", json.dumps({"orders": list(orders())}), "orders")
        deliver_into(settings, "inventory", json.dumps({"items": list(items())}), "items")
        deliver_into(settings, "inventory", json.dumps({"levels": list(levels())}), "levels")
        deliver_into(settings, "inventory", json.dumps({"movements": list(waste())}), "movements")
        assert run(settings).refusals == []
        yield settings


def till_export() -> str:
    lines = [TILL]
    for number, day in enumerate(all_days()):
        for place, store in enumerate(STORES):
            count = number * 3 + place
            sku, name, category, price = GOODS[(count * 7 + place) % len(GOODS)]
            quantity = count % 4 + 1
            gross, discount = price * quantity, (count % 9 == 0) * 20
            customer = f"C{(count * count) % 61}" if count % 4 else ""
            option = "To Go" if count % 5 == 0 else "For Here"
            sale = (f"R{count}", "Payment", day, "10:00:00", store, sku, name, category, quantity)
            amounts = (money(gross), money(-discount), money(gross - discount), "0.00", f"P{count}", customer, option)
            lines.append(",".join(map(str, (*sale, *amounts))))
            if count % 17 == 0:
                refund = (f"F{count}", "Refund", day, "18:00:00", store, sku, name, category, -1)
                amounts = (money(-price), "0.00", money(-price), "0.00", f"P{count}", customer, option)
                lines.append(",".join(map(str, (*refund, *amounts))))
    return "\n".join([*lines, ""])


def all_days() -> Iterator[date]:
    day = FIRST
    while day <= LAST:
        yield day
        day += timedelta(days=1)


def money(cents: int) -> str:
    return f"{Decimal(cents) / 100:.2f}"


def orders() -> Iterator[dict[str, Any]]:
    for number, day in enumerate(all_days()):
        if number % 4 == 0:
            item = {
                "name": "Croissant",
                "quantity": "2",
                "metadata": {"sku": "CRO"},
                "total_money": {"currency": "EUR"},
            }
            yield {
                "id": f"O{number}",
                "state": "COMPLETED",
                "created_at": f"{day}T12:00:00+00:00",
                "updated_at": f"{day}T13:00:00+00:00",
                "location_id": "L-DELIVERY",
                "customer_id": f"C{number % 61}",
                "line_items": [
                    {**item, "total_money": {"currency": "EUR"}, "gross_sales_money": {"amount": 370 + number}}
                ],
            }


def items() -> Iterator[dict[str, Any]]:
    for sku, name, kind in (("FLOUR", "Flour", "ingredient"), ("CRO", "Croissant", "finished")):
        yield {"item_id": sku, "sku": sku, "name": name, "kind": kind, "unit": "kg", "purchase_rate": 0.85,
               "reorder_level": 10, "category": "Pastry" if sku == "CRO" else "Dry goods"}  # fmt: skip


def levels() -> Iterator[dict[str, Any]]:
    for place, location in enumerate(("W-CENTRO", "W-NORTE", "W-PLAYA")):
        for sku, quantity in (("FLOUR", 4 + 9 * place), ("CRO", 12 - 5 * place)):
            yield {"item_id": sku, "location_id": location, "sku": sku, "on_hand": str(quantity),
                   "counted_at": "2026-06-24T20:00:00+02:00"}  # fmt: skip


def waste() -> Iterator[dict[str, Any]]:
    for number, day in enumerate(all_days()):
        if number % 6 == 0:
            at = f"{day}T20:00:00+02:00"
            yield {"movement_id": f"M{number}", "sku": ("FLOUR", "CRO")[number % 12 == 0], "location_id": "W-NORTE",
                   "kind": "waste", "quantity": f"-{number % 5 + 1}", "unit_cost": "0.85", "moved_at": at,
                   "last_modified_time": at}  # fmt: skip


# --- the same figures from core, by SQL of its own -----------------------------------------------------------

OF_SALES = "core.sales as sale"
OF_LINES = "core.sale_lines as line inner join core.sales as sale using (sale_id)"
WITH_PRODUCT = f"{OF_LINES} inner join core.products as product on product.product_id = line.product_id"
FIRST_PURCHASE = (
    "(select min(other.business_date) from core.sales as other "
    "where other.customer_id = sale.customer_id and other.event = 'sale')"
)
REVENUE = "sum(sale.net_amount) filter (where sale.event in ('sale', 'refund'))"
TICKETS = "count(*) filter (where sale.event = 'sale')"
CUSTOMERS = "count(distinct sale.customer_id) filter (where sale.event = 'sale')"
NEW = f"count(distinct sale.customer_id) filter (where sale.event = 'sale' and sale.business_date = {FIRST_PURCHASE})"
ITEMS_OF_SALE = "(select sum(line.quantity) from core.sale_lines as line where line.sale_id = sale.sale_id)"
SALES = {
    "revenue": REVENUE,
    "gross_sales": "sum(sale.gross_amount) filter (where sale.event = 'sale')",
    "discounts": "sum(sale.discount_amount) filter (where sale.event = 'sale')",
    "refunds": "coalesce(-sum(sale.net_amount) filter (where sale.event = 'refund'), 0)",
    "tickets": TICKETS,
    "average_ticket": f"round({REVENUE} / nullif({TICKETS}, 0), 2)",
    "customers": CUSTOMERS,
    "new_customers": NEW,
    "returning_customers": f"{CUSTOMERS} - {NEW}",
    "items": f"sum({ITEMS_OF_SALE})",
    "items_per_ticket": f"round(sum({ITEMS_OF_SALE}) / nullif({TICKETS}, 0), 2)",
}
LINES = {"revenue": "sum(line.net_amount)", "items": "sum(line.quantity)"}
STOCK = {
    "inventory_value": "sum(round(stock.on_hand_quantity * item.unit_cost, 2))",
    "stock_on_hand": "sum(stock.on_hand_quantity)",
    "low_stock_products": "count(*) filter (where stock.on_hand_quantity < coalesce(stock.reorder_level, "
    "item.reorder_level))",
}
OF_STOCK = (
    "core.stock_levels as stock inner join core.inventory as item using (product_id) "
    "inner join core.products as product using (product_id)"
)
OF_WASTE = "core.stock_movements as move inner join core.products as product using (product_id)"
DIMENSIONS = {
    "sale": {
        "day": "sale.business_date",
        "week": "date_trunc('week', sale.business_date)::date",
        "month": "date_trunc('month', sale.business_date)::date",
        "store": "sale.store_id",
        "channel": "sale.channel",
        "source": "sale.source",
        "product": "product.product_name",
        "category": "product.category",
        "customer_kind": "case when sale.customer_id is null then 'unknown' "
        f"when sale.business_date = {FIRST_PURCHASE} then 'new' else 'returning' end",
    },
    "stock": {"store": "stock.store_id", "product": "product.product_name", "category": "product.category"},
    "move": {
        "store": "move.store_id",
        "product": "product.product_name",
        "month": "date_trunc('month', move.business_date)::date",
    },
}


def from_core(settings: Settings, wanted: Mapping[str, Any], days: str | None) -> dict[tuple[Any, ...], Any]:
    """The figures of a question: (values of the dimensions) -> figure, straight from core."""
    metric, by, where = wanted["metric"], wanted.get("by", []), wanted.get("where", {})
    if metric in STOCK:
        kind, tables, expression, day = "stock", OF_STOCK, STOCK[metric], None
    elif metric == "waste":
        kind, tables, day = "move", OF_WASTE, "move.business_date"
        expression = "sum(-move.quantity * move.unit_cost) filter (where move.kind = 'waste')"
    elif {"product", "category"} & {*by, *where}:
        kind, tables, expression, day = "sale", WITH_PRODUCT, LINES[metric], "sale.business_date"
    else:
        kind, tables, expression, day = "sale", OF_SALES, SALES[metric], "sale.business_date"
    names = DIMENSIONS[kind]
    conditions = [f"{names[name]} = %({name})s" for name in where]
    first, last = days.split("..") if days else (None, None)
    if days:
        conditions.append(f"{day} between %(first_day)s and %(last_day)s")
    statement = f"select {', '.join([*(names[name] for name in by), expression])} from {tables}"  # noqa: S608  # ours
    statement += f" where {' and '.join(conditions)}" if conditions else ""
    statement += f" group by {', '.join(names[name] for name in by)}" if by else ""
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL(statement), {**where, "first_day": first, "last_day": last})
        return {row[:-1]: row[-1] for row in cursor.fetchall()}


def figures(reply: Reply, by: list[str], column: str = "value") -> dict[tuple[Any, ...], Any]:
    return {tuple(row[name] for name in by): row[column] for row in reply.rows if row[column] is not None}


# --- the suite ------------------------------------------------------------------------------------------------


@asked("wanted", ANSWERED, ids=[each["q"] for each in ANSWERED])
def test_answer_is_what_core_says(business: Settings, wanted: dict[str, Any]) -> None:
    reply = ask(business, wanted["q"], TODAY)

    assert reply.reading is not None, reply.refusal
    assert reply.plan is not None
    by = wanted.get("by", [])
    read = (reply.reading.metric, list(reply.reading.by), {name: value for name, value, _ in reply.reading.where})
    assert read == (wanted["metric"], by, wanted.get("where", {}))
    if days := wanted.get("days"):
        assert f"{reply.plan.first_day}..{reply.plan.last_day}" == days
    expected = from_core(business, wanted, wanted.get("days"))
    limit = wanted.get("top") or wanted.get("lowest")
    if limit:
        ordered = sorted(expected.items(), key=lambda each: each[1], reverse="top" in wanted)
        edge = ordered[min(limit, len(ordered)) - 1][1]
        expected = {key: value for key, value in ordered if (value >= edge if "top" in wanted else value <= edge)}
        assert [row["value"] for row in reply.rows] == list(expected.values())
    assert expected, "a question whose right answer is nothing tests nothing"
    assert figures(reply, by) == expected
    if compared := wanted.get("compared"):
        assert figures(reply, by, "compared") == from_core(business, wanted, compared)


@asked("wanted", UNANSWERABLE, ids=[each["q"][:60] or "nothing" for each in UNANSWERABLE])
def test_question_that_has_no_answer_is_refused(business: Settings, wanted: dict[str, Any]) -> None:
    reply = ask(business, wanted["q"], TODAY)

    assert (reply.is_answered, reply.rows, reply.value) == (False, [], None)
    assert reply.refusal is not None
    assert reply.refusal.kind == wanted["kind"], reply.refusal
    assert reply.suggestions
    for suggestion in reply.suggestions:
        assert ask(business, suggestion, TODAY).refusal is None, suggestion


@asked("wanted", AMBIGUOUS, ids=[each["q"] for each in AMBIGUOUS])
def test_question_with_several_meanings_is_asked_back(business: Settings, wanted: dict[str, Any]) -> None:
    reply = ask(business, wanted["q"], TODAY)

    assert reply.refusal is not None
    assert (reply.is_answered, reply.refusal.kind) == (False, "ambiguous"), reply.reading
    assert len(reply.suggestions) == wanted.get("count", len(wanted.get("readings", [])))
    assert sorted(reply.suggestions) == sorted(wanted.get("readings", reply.suggestions))
    for choice in reply.suggestions:
        again = ask(business, choice, TODAY)
        assert again.refusal is None or again.refusal.kind == "no_data", choice


def test_suite_is_large_enough() -> None:
    texts = [each["q"] for each in (*ANSWERED, *UNANSWERABLE, *AMBIGUOUS)]

    assert len(ANSWERED) >= 150
    assert len(UNANSWERABLE) >= 40
    assert len(AMBIGUOUS) >= 20
    assert len(set(texts)) == len(texts)


def test_same_question_has_the_same_answer_a_hundred_times(business: Settings) -> None:
    seconds, replies = [], set()
    for _ in range(100):
        start = time.perf_counter()
        reply = ask(business, "monthly revenue by store in Q1 2026", TODAY)
        seconds.append(time.perf_counter() - start)
        assert reply.plan is not None
        replies.add(repr((reply.plan.plan_id, reply.plan.sql, reply.rows, reply.suggestions, reply.says)))

    assert len(replies) == 1
    assert statistics.median(seconds) < 3, f"median of 100 answers: {statistics.median(seconds) * 1000:.0f} ms"


def test_answer_says_what_it_rests_on(business: Settings) -> None:
    reply = ask(business, "revenue last month", TODAY)

    [cited] = reply.citations
    assert reply.plan is not None
    assert cited["plan_id"] == reply.plan.plan_id
    assert cited["receipts"] == f"/receipts/plan/{reply.plan.plan_id}"
    assert {"definition", "version", "owner", "system_of_record", "as_of", "freshness", "sql", "quality"} <= set(cited)
    assert {each["source"] for each in cited["freshness"]} == {"pos", "pos_api", "inventory"}


def page(business: Settings, address: str) -> str:
    """A page as its template makes it."""
    path, _, query = address.partition("?")
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": []}
    pages = Pages(business, Preview(business))
    known = {"/ask": pages.ask, "/catalogue": pages.catalogue, "/flow": pages.flow, "/forecast": pages.forecast}
    response = known[path](Request(scope))
    return bytes(response.body).decode()


def test_page_of_a_question_shows_figure_source_and_receipts(business: Settings) -> None:
    shown = page(business, "/ask?q=revenue+in+May+2026+by+store")

    assert "PanPan Centro" in shown
    assert "<svg" in shown
    assert "/receipts/plan/" in shown
    assert "POS exports of the stores" in shown


def test_page_of_an_ambiguous_question_links_each_reading(business: Settings) -> None:
    shown = page(business, "/ask?q=sales+yesterday")

    assert "Which one is meant?" in shown
    assert shown.count('<li><a href="/ask?q=') == 3


def test_question_stays_text_on_the_page(business: Settings) -> None:
    shown = page(business, "/ask?q=%3Cscript%3Ealert(1)%3C/script%3E%22")

    assert "<script" not in shown
    assert "&lt;script&gt;" in shown


def test_catalogue_names_owner_and_source_of_record_of_every_metric(business: Settings) -> None:
    shown = page(business, "/catalogue")
    found = entries(business)

    assert {each.name for each in found} == set(load_metrics())
    assert all(each.owner and each.system_of_record for each in found)
    assert all(f'id="{each.name}"' in shown for each in found)
    assert "For reference only" in shown


def test_flow_leads_from_a_box_to_its_page(business: Settings) -> None:
    shown = page(business, "/flow")

    assert '<a href="/catalogue#revenue">' in shown
    assert '<a href="/dashboards/sales">' in shown
    assert "transforms/marts/waste.sql; responsible:" in shown


def test_flow_shows_a_new_contract_at_once_and_reads_no_dashboard_again(
    business: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = business.model_copy(update={"home": tmp_path})
    pages = Pages(settings, Preview(settings))
    monkeypatch.setattr(graph, "load_catalogue", lambda: pytest.fail("read again"))
    request = Request({"type": "http", "method": "GET", "path": "/flow", "query_string": b"", "headers": []})

    before = bytes(pages.flow(request).body).decode()
    shipped = (CHECKOUT / "transforms" / "sources" / "bread_basket.toml").read_text(encoding="utf-8")
    settings.own_contracts.mkdir()
    corner = shipped.replace('source = "bread_basket"', 'source = "corner"')
    (settings.own_contracts / "corner.toml").write_text(corner, encoding="utf-8")
    after = bytes(pages.flow(request).body).decode()

    assert ">corner</text>" not in before
    assert ">corner</text>" in after


def test_forecast_is_shown_with_its_error_and_its_receipts(business: Settings) -> None:
    before = page(business, "/forecast")
    refresh_forecast(business, TODAY)
    found = {each.store: each for each in read_outlook(business, TODAY).stores}
    shown = page(business, "/forecast")

    assert "No forecast is kept yet" in before
    assert set(found) >= {"centro", "norte", "playa"}
    assert (found["centro"].made_on, found["centro"].days[0][0]) == (LAST, TODAY)
    assert all(error.mae >= 0 and error.wape is not None for error in found["centro"].errors)
    for each in found.values():
        assert f"it was off by {write_money(each.errors[0].mae, 'EUR')} a day" in shown
        assert f"/receipts/plan/{each.plan_id}" in shown
    assert "no day has come of which anything was expected" in shown
