"""Bad records are kept with their reason, never stop the rest, and come in once the rule is right."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from panpan.settings import Settings
from transforms.contract import SHIPPED
from transforms.rejects import open_rejects, receive_again, refused_loads, rejected_records
from transforms.run import run

Deliver = Callable[..., int]
Ask = Callable[..., list[tuple[Any, ...]]]

CAFE = "Transaction ID,Item,Quantity,Price Per Unit,Total Spent,Payment Method,Location,Transaction Date\n"
SHEET = CAFE + (
    "T1,Cake,2,3.00,6.00,Cash,Takeaway,2023-05-01\n"
    "T2,Cake,n/a,3.00,n/a,Cash,Takeaway,2023-05-01\n"
    "T3,Cake,1,3.00,ERROR,Cash,Takeaway,2023-05-02\n"
    "T4,Cake,1,3.00,3.00,Cash,Takeaway,01.05.2023\n"
)


def rule_changed(warehouse: Settings, source: str, old: str, new: str) -> None:
    """The owner's own contract of a source: the shipped one with one change."""
    text = (SHIPPED / f"{source}.toml").read_text(encoding="utf-8")
    assert old in text
    warehouse.own_contracts.mkdir(exist_ok=True)
    (warehouse.own_contracts / f"{source}.toml").write_text(text.replace(old, new), encoding="utf-8")


def test_a_bad_record_is_kept_with_reason_value_and_source_beside_the_good_ones(
    warehouse: Settings, deliver: Deliver, ask: Ask
) -> None:
    deliver("dirty_cafe", SHEET)

    run(warehouse)

    assert ask("select receipt_number, net_amount from core.sales order by 1") == [("T1", 6), ("T3", 3)]
    assert open_rejects(warehouse, "dirty_cafe") == [
        {"source": "dirty_cafe", "reason": "Quantity can't be read as a number", "count": 1},
        {"source": "dirty_cafe", "reason": "Transaction Date can't be read as a date", "count": 1},
    ]
    found = rejected_records(warehouse, "dirty_cafe", 10)
    assert [(reject["record"], reject["column"], reject["value"]) for reject in found] == [
        (2, "Quantity", "n/a"),
        (4, "Transaction Date", "01.05.2023"),
    ]
    assert found[0]["payload"]["Item"] == "Cake"
    assert ask("select reject_count from marts.data_freshness") == [(2,)]


def test_a_replay_after_the_rule_was_put_right_takes_the_records_in_and_closes_their_rejects(
    warehouse: Settings, deliver: Deliver, ask: Ask
) -> None:
    deliver("dirty_cafe", SHEET)
    run(warehouse)

    rule_changed(warehouse, "dirty_cafe", 'format = "%Y-%m-%d"', 'format = ["%Y-%m-%d", "%d.%m.%Y"]')
    assert receive_again(warehouse, "dirty_cafe") == 1
    run(warehouse)

    assert ask("select receipt_number, business_date::text from core.sales order by 1") == [
        ("T1", "2023-05-01"),
        ("T3", "2023-05-02"),
        ("T4", "2023-05-01"),
    ]
    assert [group["count"] for group in open_rejects(warehouse)] == [1]
    assert ask("select count(*), count(resolved_at) from ops.rejects") == [(2, 1)]
    assert ask("select sum(net_amount) from marts.daily_store_sales") == [(12,)]
    assert ask("select count(*) from raw_pos.sale_lines") == [(4,)]


def test_a_record_that_becomes_bad_again_is_an_open_reject_again(
    warehouse: Settings, deliver: Deliver, ask: Ask
) -> None:
    deliver("dirty_cafe", SHEET)
    run(warehouse)
    rule_changed(warehouse, "dirty_cafe", 'format = "%Y-%m-%d"', 'format = ["%Y-%m-%d", "%d.%m.%Y"]')
    receive_again(warehouse, "dirty_cafe")
    run(warehouse)

    (warehouse.own_contracts / "dirty_cafe.toml").unlink()
    receive_again(warehouse, "dirty_cafe")
    run(warehouse)

    assert ask("select count(*) from ops.rejects where resolved_at is null") == [(2,)]


def test_a_refused_file_is_taken_once_the_contract_names_its_encoding(
    warehouse: Settings, deliver: Deliver, ask: Ask
) -> None:
    load_id = deliver("dirty_cafe", (CAFE + "T1,Crème,2,3.00,6.00,Cash,Takeaway,2023-05-01\n").encode("cp1252"))
    run(warehouse)
    (refused,) = refused_loads(warehouse, "dirty_cafe")
    assert refused["load_id"] == load_id
    assert 'add encodings = ["utf-8", "cp1252"]' in refused["reason"]

    rule_changed(warehouse, "dirty_cafe", "rebuild_amounts", 'encodings = ["utf-8", "cp1252"]\nrebuild_amounts')
    receive_again(warehouse, "dirty_cafe")
    run(warehouse)

    assert ask("select product_name from core.products") == [("Crème",)]
    assert ask("select status, reason from ops.loads") == [("loaded", None)]


@pytest.mark.parametrize(
    "cell",
    ["99999999999999", "9" * 40, "1e999", "-", "$" * 3000, "0x10", "NaN", "∞", "1'000'000'000'000"],
)
def test_no_odd_amount_stops_the_rows_around_it(warehouse: Settings, deliver: Deliver, ask: Ask, cell: str) -> None:
    deliver("dirty_cafe", CAFE + f"T1,Cake,2,3.00,{cell},Cash,,2023-05-01\nT2,Cake,1,3.00,3.00,Cash,,2023-05-01\n")

    report = run(warehouse)

    assert (report.rows, report.rejects, report.refused) == (1, 1, 0)
    assert ask("select sum(net_amount) from core.sales") == [(Decimal("3.00"),)]


@pytest.mark.parametrize(
    "receipt",
    [
        "R" * 4000,
        "R\x01\x02",
        "' or 1=1; drop table core.sales --",
        "R\t1\\N",
        "\\.",
        '"',
        "R#void",
        "\U0001d57d" * 100,
        "R\u2028S",
    ],
)
def test_no_odd_key_stops_the_rows_around_it(warehouse: Settings, deliver: Deliver, ask: Ask, receipt: str) -> None:
    quoted = '"' + receipt.replace('"', '""') + '"'
    deliver("dirty_cafe", CAFE + f"{quoted},Cake,1,3.00,3.00,Cash,,2023-05-01\nT2,Cake,1,3.00,3.00,Cash,,2023-05-01\n")

    report = run(warehouse)

    assert report.rows + report.rejects == 2
    assert ask("select count(*) from core.sales where receipt_number = 'T2'") == [(1,)]
    if report.rejects == 0:
        assert ask("select count(*) from core.sales where receipt_number = %s", receipt.strip()) == [(1,)]
