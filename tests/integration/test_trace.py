"""Figures lead to their receipts, and lineage holds both ways."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from db.connection import connect
from panpan.errors import UsageError
from panpan.settings import Settings
from transforms.audit import audit
from transforms.run import run
from transforms.trace import trace

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
    "what", ["sale:nonsense", "sale:dirty_cafe/none", "metric:revenue", "metric:nothing/2026", "x:1"]
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
