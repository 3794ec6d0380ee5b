"""Rules on a real PostgreSQL: each form of refund and void ends as the same figures, whatever comes first."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from panpan.settings import Settings
from transforms.run import run

Deliver = Callable[..., int]
Ask = Callable[..., list[tuple[Any, ...]]]

HEADER = "Receipt,Day,Item,Qty,Net,Type,Payment,Status,Discount"
CONTRACT = """
source = "till"
title = "Till"
system = "pos"
owner = "Owner"
time_zone = "Europe/Madrid"
currency_code = "EUR"
catalogue = "till"

[[entities]]
entity = "sale_lines"
kind = "sale_lines"
recognised_by = ["Receipt", "Item", "Net"]
discount_sign = "positive"
refunds = "{refunds}"
{more}

[entities.columns]
receipt_number = {{ from = "Receipt", required = true, whole = true }}
sold_on = {{ from = "Day", type = "date", required = true }}
product_key = {{ from = "Item", fold = true, required = true }}
product_name = {{ from = "Item", required = true }}
quantity = {{ from = "Qty", type = "decimal", required = true }}
net_amount = {{ from = "Net", type = "money" }}
event = {{ from = "Type", map = {{ Sale = "sale", Refund = "refund" }}, default = "Sale" }}
payment_reference = {{ from = "Payment" }}
discount_amount = {{ from = "Discount", type = "money" }}
"""


@pytest.fixture
def till(warehouse: Settings, deliver: Deliver) -> Callable[..., None]:
    """Gives the warehouse a till with these rules and delivers files, one run each."""

    def read(*files: str, refunds: str = "event", more: str = "") -> None:
        warehouse.own_contracts.mkdir(exist_ok=True)
        text = CONTRACT.format(refunds=refunds, more=more)
        (warehouse.own_contracts / "till.toml").write_text(text, encoding="utf-8")
        for file in files:
            deliver("till", f"{HEADER}\n{file}\n")
            assert run(warehouse).refusals == []

    return read


def figures(ask: Ask) -> list[tuple[Any, ...]]:
    return ask(
        "select sum(net_amount), sum(ticket_count), sum(refund_count), sum(refund_amount) from marts.daily_store_sales"
    )


SALE = "R1,2026-06-10,Bun,2,6.00,Sale,P1,,\nR1,2026-06-10,Tea,1,3.00,Sale,P1,,"
REFUNDS = {
    "own receipt, by its payment": ("event", "R2,2026-07-02,Bun,-2,-6.00,Refund,P1,,"),
    "its sale's receipt": ("same_receipt", "R1,2026-07-02,Bun,-2,-6.00,Refund,,,"),
    "negative line": ("negative_quantity", "R2,2026-07-02,Bun,-2,-6.00,,P1,,"),
    "partial": ("event", "R2,2026-07-02,Bun,-1,-3.00,Refund,P1,,"),
}


@pytest.mark.parametrize("form", REFUNDS)
@pytest.mark.parametrize("turn", [1, -1], ids=["sale first", "refund first"])
def test_a_refund_of_any_form_finds_its_sale_in_another_file(
    till: Callable[..., None], ask: Ask, form: str, turn: int
) -> None:
    refunds, refund = REFUNDS[form]
    back = Decimal(-3 if form == "partial" else -6)

    till(*[SALE, refund][::turn], refunds=refunds)

    assert figures(ask) == [(9 + back, 1, 1, -back)]
    assert ask(
        "select refund.net_amount, sale.receipt_number, refund.business_date::text from core.sales as refund "
        "inner join core.sales as sale on refund.reverses_sale_id = sale.sale_id"
    ) == [(back, "R1", "2026-07-02")]


def test_a_refund_without_its_sale_is_kept_and_resolved_when_the_sale_comes(
    till: Callable[..., None], ask: Ask
) -> None:
    till("R2,2026-07-02,Bun,-2,-6.00,Refund,P1,,")
    assert ask("select event, net_amount, reverses_sale_id from core.sales") == [("refund", -6, None)]

    till(SALE)

    assert ask("select count(reverses_sale_id), sum(net_amount) from core.sales") == [(1, 3)]


def test_two_refunds_in_one_receipt_on_two_days_are_both_there_in_any_order(
    till: Callable[..., None], ask: Ask
) -> None:
    first, second = (f"R1,2026-07-0{day},Bun,-1,-3.00,Refund,,," for day in (2, 3))

    for files in permutations([SALE, first, second]):
        till(*files, refunds="same_receipt")
        assert figures(ask) == [(3, 1, 2, 6)]


def test_cancelled_receipts_do_not_count_and_come_back_when_they_are_not(till: Callable[..., None], ask: Ask) -> None:
    flag = 'void_when = { column = "Status", is = ["Cancelled"] }'
    till("R1,2026-06-10,Bun,2,6.00,,,Cancelled,\nR2,2026-06-10,Tea,1,3.00,,,Closed,", more=flag)
    assert figures(ask) == [(3, 1, 0, 0)]

    till("R1,2026-06-10,Bun,2,6.00,,,Closed,", more=flag)

    assert figures(ask) == [(9, 2, 0, 0)]


def test_a_void_line_leaves_the_rest_of_its_receipt(till: Callable[..., None], ask: Ask) -> None:
    flag = 'void_when = { column = "Status", is = ["void"], of = "line" }'

    till("R1,2026-06-10,Bun,2,6.00,,,void,\nR1,2026-06-10,Tea,1,3.00,,,,", more=flag)

    assert figures(ask) == [(3, 1, 0, 0)]
    assert ask("select sum(gross_amount), sum(item_quantity) from marts.daily_store_sales") == [(3, 1)]


def test_a_receipt_s_discount_is_on_its_lines_to_the_cent(till: Callable[..., None], ask: Ask) -> None:
    lines = "\n".join(f"R1.0,2026-06-10,Item {n},1,{net},,,,1.00" for n, net in enumerate(("3.00", "3.00", "3.00")))

    till(lines.replace("R1.0", "150040.0"), more='per_receipt = { discount_amount = "repeated" }')

    assert ask("select receipt_number, discount_amount from core.sales") == [("150040", 1)]
    assert ask("select discount_amount from core.sale_lines order by line_number") == [
        (Decimal("0.34"),),
        (Decimal("0.33"),),
        (Decimal("0.33"),),
    ]


def test_a_gift_card_sold_is_a_line_without_revenue(till: Callable[..., None], ask: Ask) -> None:
    till(
        "R1,2026-06-10,Gift Card,1,25.00,,P1,,\nR1,2026-06-10,Tea,1,3.00,,P1,,",
        more='gift_card_when = { column = "Item", is = ["gift card"] }',
    )

    assert figures(ask) == [(3, 1, 0, 0)]
    assert ask("select gift_card_amount from core.sale_lines order by line_number") == [(25,), (None,)]
    assert ask(
        "select net_amount, gift_card_amount, amount from core.sales inner join core.payments using (sale_id)"
    ) == [(3, 25, 28)]


def test_names_of_one_product_are_one_product_with_the_newest_spelling(till: Callable[..., None], ask: Ask) -> None:
    till("R2,2026-07-02,Matcha  Latte ,1,3.00,,,,", "R1,2026-06-10,matcha latte,1,3.00,,,,")

    assert ask("select product_name from core.products") == [("Matcha Latte",)]
