"""Figures lead to their receipts, and lineage holds both ways."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from db.connection import connect
from panpan.errors import UsageError
from panpan.settings import Settings
from transforms.audit import audit
from transforms.lineage import read_record
from transforms.metrics import load_metrics
from transforms.run import run
from transforms.trace import NO_RECEIPTS, Page, Trace, trace

HEADER = "Date,Time,Transaction,Item\n"
SHEET = (
    "Transaction ID,Item,Quantity,Price Per Unit,Total Spent,Payment Method,Location,Transaction Date\n"
    'T1,"Tea\nwith a line end",1,2.0,2.0,Cash,In-store,2026-03-01\n'
    "T2,Cake,2,3.0,ERROR,Cash,In-store,2026-03-01\n"
    "T3,Cake,2,3.0,6.0,Cash,In-store,UNKNOWN\n"
    "T4,Bun,1,1.5,1.5,Card,Takeaway,2026-03-02\n"
)
TODAY = date(2026, 3, 31)


@pytest.fixture
def sheet(warehouse: Settings, deliver: Any) -> Settings:
    """A warehouse with one small file of which one row is a reject."""
    deliver("dirty_cafe", SHEET, settings=warehouse)
    run(warehouse)
    return warehouse


def test_figure_leads_to_files_and_lines_and_adds_up(sheet: Settings) -> None:
    found = trace(sheet, "metric:revenue/2026-03", TODAY)

    assert (found.value, found.resummed, found.receipts) == (Decimal("9.50"), Decimal("9.50"), 3)
    assert [record["line"] for record in found.records] == [2, 4, 6]  # a cell of the first row holds a line end


def test_sale_leads_to_its_record_by_id_and_by_receipt_number(sheet: Settings, ask: Any) -> None:
    [(sale_id,)] = ask("select sale_id from core.sales where receipt_number = 'T2'")

    by_id, by_number = trace(sheet, f"sale:{sale_id}", TODAY), trace(sheet, "sale:dirty_cafe/T2", TODAY)

    assert by_id == by_number
    assert (by_id.value, by_id.resummed) == (Decimal("6.00"), Decimal("6.00"))


def test_figure_that_its_receipts_do_not_make_is_told(sheet: Settings) -> None:
    with connect(sheet, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            "update marts.daily_store_sales set net_amount = net_amount + 1 where business_date = '2026-03-02'"
        )

    assert not trace(sheet, "metric:revenue/2026-03", TODAY).is_equal


@pytest.mark.parametrize(
    "what",
    ["sale:nonsense", "sale:dirty_cafe/none", "metric:revenue", "metric:nothing/2026", "x:1", "stock:a/b", "plan:../x"],
)
def test_unknown_things_are_refused_by_name(sheet: Settings, what: str) -> None:
    with pytest.raises(UsageError):
        trace(sheet, what, TODAY)


def test_every_record_is_a_row_or_a_reject_and_every_row_has_its_record(sheet: Settings) -> None:
    [found] = audit(sheet)

    assert (found.raw_records, found.formatted_rows, found.rejects) == (4, 3, 1)
    assert found.is_whole


def test_audit_notices_a_record_that_leads_nowhere_and_a_row_that_is_gone(sheet: Settings) -> None:
    with connect(sheet, "owner") as connection, connection.cursor() as cursor:
        cursor.execute("delete from ops.rejects")
        cursor.execute("delete from core.sale_lines; delete from core.payments; delete from core.sales")

    [found] = audit(sheet)

    assert (found.leads_nowhere, found.missing_in_core) == (1, 3)


# --- every metric ---------------------------------------------------------------------------------------------

ITEMS = [
    {"item_id": "1", "sku": "BREAD", "name": "Bread", "kind": "finished", "unit": "pcs", "purchase_rate": 0.335,
     "reorder_level": 5, "status": "active", "last_modified_time": "2026-03-01T06:00:00+0100"},
    {"item_id": "2", "sku": "FLOUR", "name": "Flour", "kind": "ingredient", "unit": "kg", "purchase_rate": 0.8,
     "reorder_level": 50, "status": "active", "last_modified_time": "2026-03-01T06:00:00+0100"},
]  # fmt: skip
LEVELS = [
    {"item_id": "1", "sku": "BREAD", "location_id": "W-CENTRO", "on_hand": "7.000",
     "counted_at": "2026-03-02T21:00:00+0100"},
    {"item_id": "2", "sku": "FLOUR", "location_id": "W-CENTRO", "on_hand": "12.500",
     "counted_at": "2026-03-02T21:00:00+0100"},
]  # fmt: skip


def movement(number: int, sku: str, kind: str, quantity: str, day: int = 2) -> dict[str, Any]:
    moment = f"2026-03-{day:02d}T{10 + number % 10}:00:00+0100"
    return {"movement_id": f"M{number}", "sku": sku, "location_id": "W-CENTRO", "kind": kind, "quantity": quantity,
            "unit_cost": "0.3350", "moved_at": moment, "last_modified_time": moment}  # fmt: skip


MOVEMENTS = [
    movement(1, "BREAD", "production", "20.000"),
    movement(2, "BREAD", "sale", "-10.000"),
    movement(3, "BREAD", "waste", "-1.000"),  # 0.335 each: the day's cost is rounded once, 1.01, not three times 0.34
    movement(4, "BREAD", "waste", "-1.000"),
    movement(5, "BREAD", "waste", "-1.000"),
    movement(6, "FLOUR", "use", "-2.500"),
]
TILL = (
    "Date,Time,Time Zone,Item,Qty,SKU,Gross Sales,Discounts,Net Sales,Tax,Transaction ID,Payment ID,Event Type,"
    "Location,Customer ID,Customer Name,Notes\n"
    "2026-03-02,10:00:00,Madrid,Bread,2,BREAD,€4.00,-€1.00,€3.00,€0.30,R1,P1,Payment,PanPan Centro,C1,Ana García,\n"
    "2026-03-02,11:00:00,Madrid,Bread,1,BREAD,€2.00,€0.00,€2.00,€0.20,R2,P2,Payment,PanPan Norte,C2,,\n"
    "2026-03-02,12:00:00,Madrid,Bread,-1,BREAD,-€2.00,€0.00,-€2.00,-€0.20,R3,P2,Refund,PanPan Norte,,,\n"
    "2026-04-01,12:00:00,Madrid,Bread,3,BREAD,€6.00,€0.00,€6.00,€0.60,R4,P4,Payment,PanPan Centro,C1,Ana García,\n"
)


@pytest.fixture(scope="module")
def business(new_warehouse: Any, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Sales, stock and customers of two days, in a warehouse of the module."""
    with new_warehouse() as settings:
        yield settings


@pytest.fixture
def small_business(business: Settings, deliver: Any) -> Settings:
    with connect(business, "owner") as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from ops.loads")
        [(loads,)] = cursor.fetchall()
    if not loads:
        deliver("pos", TILL, settings=business)
        for entity, rows in (("items", ITEMS), ("levels", LEVELS), ("movements", MOVEMENTS)):
            deliver("inventory", json.dumps({entity: rows}), entity, settings=business)
        run(business)
    return business


def traced(settings: Settings, what: str) -> Trace:
    return trace(settings, what, TODAY)


@pytest.mark.parametrize("name", [name for name in load_metrics()])
def test_every_metric_leads_to_its_records_or_says_why_not(small_business: Settings, name: str) -> None:
    metric = load_metrics()[name]
    needed = f"/{metric.needs_one_of[0]}=Flour" if metric.needs_one_of else ""
    period = "2026-03" if metric.readings[0].day_column else "all"
    if {reading.mart for reading in metric.readings} <= set(NO_RECEIPTS):
        with pytest.raises(UsageError, match="has no receipts"):
            traced(small_business, f"metric:{name}/{period}{needed}")
        return

    found = traced(small_business, f"metric:{name}/{period}{needed}")

    assert found.is_equal
    assert found.value is None or found.record_count > 0 or found.value == 0


EXPECTED = {
    "revenue/2026-03": ("3.00", 3),
    "refunds/2026-03": ("2.00", 1),
    "discounts/2026-03": ("1.00", 1),
    "tickets/2026-03": ("2", 2),
    "average_ticket/2026-03": ("1.50", 3),
    "items/2026-03": ("2", 3),
    "customers/all": ("2", 3),
    "new_customers/2026-04": ("0", 1),
    "returning_customers/2026-04": ("1", 1),
    "waste/2026-03": ("1.01", 3),
    "inventory_value/all": ("12.35", 4),  # 7 x 0.335 = 2.35, 12.5 x 0.8 = 10; two counts, two items
    "stock_on_hand/all/product=Flour": ("12.5", 2),
    "low_stock_products/all": ("1", 2),
    "revenue/2026-03/store=centro": ("3.00", 1),
}


@pytest.mark.parametrize("what", EXPECTED)
def test_figure_is_worked_out_again_from_the_rows_it_cites(small_business: Settings, what: str) -> None:
    value, records = EXPECTED[what]

    found = traced(small_business, f"metric:{what}")

    assert (found.value, found.resummed) == (Decimal(value), Decimal(value))
    assert found.record_count == len(found.records) == records


def test_average_shows_both_its_sides(small_business: Settings) -> None:
    assert traced(small_business, "metric:average_ticket/2026-03").parts == {"net_amount": 3, "ticket_count": 2}


@pytest.mark.parametrize(
    ("mart", "column", "what"),
    [
        ("daily_store_sales", "net_amount", "average_ticket/2026-03"),
        ("inventory_status", "inventory_value", "inventory_value/all"),
        ("inventory_status", "days_of_cover", "days_of_cover/all"),
        ("waste", "cost_amount", "waste/2026-03"),
    ],
)
def test_mart_that_says_something_else_is_told(small_business: Settings, mart: str, column: str, what: str) -> None:
    with connect(small_business, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(f"create temporary table kept as select * from marts.{mart}")  # noqa: S608  # our own names
        cursor.execute(f"update marts.{mart} set {column} = {column} + 1")  # noqa: S608  # as above
        connection.commit()
        try:
            assert not traced(small_business, f"metric:{what}").is_equal
        finally:
            cursor.execute(f"delete from marts.{mart}; insert into marts.{mart} select * from kept")  # noqa: S608  # as above
            connection.commit()


def test_things_lead_to_their_records(small_business: Settings, ask: Any) -> None:
    [(product_id,)] = ask("select product_id from core.products where product_key = 'FLOUR'", settings=small_business)
    [(customer_id,)] = ask(
        "select customer_id from core.customer_sources where source_customer_id = 'C1'", settings=small_business
    )

    assert traced(small_business, f"stock:{product_id}/centro").value == Decimal("12.5")
    assert traced(small_business, f"customer:{customer_id}").value == 2
    assert traced(small_business, f"product:{product_id}").value is None


def test_records_come_in_pages_and_totals_stay_whole(small_business: Settings) -> None:
    first = trace(small_business, "metric:revenue/all", TODAY, Page(0, 1))
    rest = trace(small_business, "metric:revenue/all", TODAY, Page(1, 10))
    whole = trace(small_business, "metric:revenue/all", TODAY)

    assert [*first.records, *rest.records] == whole.records
    assert (first.record_count, first.resummed) == (4, whole.resummed)
    assert [document.records for document in first.documents] == [4]


def test_line_of_a_zipped_file_and_place_in_a_response(warehouse: Settings, deliver: Any) -> None:
    deliver("dirty_cafe", gzip.compress(SHEET.encode()))
    deliver("inventory", json.dumps({"items": ITEMS}), "items")
    run(warehouse)

    with connect(warehouse, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            "select raw_id from raw_pos.sale_lines union all select raw_id from raw_inventory.items order by 1"
        )
        ids = [raw_id for (raw_id,) in cursor.fetchall()]
    lines = []
    for raw_id in ids:
        with connect(warehouse, "transformer") as connection:
            lines.append(read_record(connection, warehouse, raw_id).line)

    assert lines == [2, 4, 5, 6, 1, 2]
