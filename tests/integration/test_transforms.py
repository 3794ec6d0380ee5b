"""
Loads into core and marts, on a real PostgreSQL: nothing lost, nothing doubled, whatever comes in whatever order.

Figures of the shared files are those its README gives, computed there with pandas.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from db.connection import connect
from panpan.settings import Settings
from transforms.rebuild import rebuild
from transforms.run import run

HEADER = (
    "Transaction ID,Event Type,Date,Time,Location,SKU,Item,Category,Qty,Gross Sales,Discounts,Net Sales,"
    "Tax,Payment ID,Customer ID,Customer Name"
)
Deliver = Callable[..., int]
Ask = Callable[..., list[tuple[Any, ...]]]
Contents = Callable[..., dict[str, list[str]]]


def line(
    receipt: str,
    item: str = "Bun",
    net: str = "2.00",
    *,
    qty: str = "1.0",
    discount: str = "0.00",
    day: str = "2026-06-10",
    clock: str = "09:00:00",
    store: str = "PanPan Centro",
    event: str = "Payment",
    payment: str = "",
    customer: str = "",
    sku: str | None = None,
) -> str:
    """One row of an export of the tills."""
    gross = Decimal(net) + Decimal(discount)
    tax = (Decimal(net) / 10).quantize(Decimal("0.01"))
    return (
        (
            f"{receipt},{event},{day},{clock},{store},{sku or item.upper()},{item},Pastry,{qty},"
            f"€{gross},€-{discount},€{net},€{tax},"
            f"{payment or 'P' + receipt},{customer},{customer and 'Customer ' + customer}"
        )
        .replace("€-", "-€")
        .replace("€-", "-€")
    )


def export(*lines: str) -> str:
    return "\n".join([HEADER, *lines, ""])


def order(
    number: str, *items: tuple[str, int], updated: str = "2026-06-10T12:00:00Z", state: str = "COMPLETED", **more: Any
) -> dict[str, Any]:
    """One order of the POS API: items are names and whole amounts in cents."""
    return {
        "id": number,
        "state": state,
        "created_at": "2026-06-10T10:00:00Z",
        "updated_at": updated,
        "location_id": "L-DELIVERY",
        "tenders": [{"id": f"T{number}", "type": "CARD"}],
        "line_items": [
            {
                "name": name,
                "quantity": "1",
                "metadata": {"sku": name.upper()},
                "gross_sales_money": {"amount": cents},
                "total_money": {"currency": "EUR"},
            }
            for name, cents in items
        ],
        **more,
    }


def page(*orders: dict[str, Any]) -> str:
    return json.dumps({"orders": list(orders)})


def receipt(ask: Ask, number: str) -> list[tuple[Any, ...]]:
    """The lines of a receipt: name and net amount, in their order."""
    return ask(
        "select product_name, line.net_amount from core.sale_lines as line inner join core.sales using (sale_id) "
        "where receipt_number = %s order by line_number",
        number,
    )


def total(ask: Ask, source: str) -> tuple[Any, ...]:
    return ask("select count(*), sum(net_amount) from core.sales where source = %s", source)[0]


# --- the shared files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [0, 1, 2], ids=["oldest first", "newest first", "middle first, one by one"])
def test_seven_overlapping_exports_give_the_same_receipts_in_any_order_twice(
    warehouse: Settings, deliver: Deliver, ask: Ask, contents: Contents, shared_data: Path, turn: int
) -> None:
    files = sorted((shared_data / "square_items").glob("*.csv"))
    assert len(files) == 7
    files = [files, files[::-1], files[3:] + files[:3]][turn]

    for _ in range(2):
        for file in files:
            deliver("square_items", file.read_bytes())
            if turn == 2:
                run(warehouse)
        report = run(warehouse)
        assert report.refusals == []

        assert ask(
            "select count(*), sum(net_amount), sum(tax_amount), count(*) filter (where event = "
            "'refund'), count(reverses_sale_id) "
            "from core.sales"
        ) == [(1262, Decimal("14333.42"), Decimal("1106.56"), 1, 1)]
    assert ask("select count(*) from core.sale_lines where discount_amount <> 0") == [(5,)]
    assert ask(
        "select count(*) - count(distinct (line.product_id, variation, modifiers, line.net_amount)), "
        "count(distinct sale_id) "
        "from core.sale_lines as line inner join core.sales using (sale_id) where sold_at = "
        "'2026-07-01 09:00:56 America/New_York'"
    ) == [(1, 1)]
    assert ask("select count(*) from ops.rejects") == [(0,)]
    assert ask("select sum(net_amount), sum(ticket_count), sum(refund_count) from marts.daily_store_sales") == [
        (Decimal("14333.42"), 1261, 1)
    ]


def test_the_coffee_chain_adds_up_to_the_cent_with_its_lists_in_any_order(
    warehouse: Settings, deliver: Deliver, ask: Ask, shared_data: Path
) -> None:
    folder = shared_data / "coffee_3stores_2019"
    files = (
        "201904_sales_reciepts.csv.gz",
        "customer.csv",
        "product.csv",
        "sales_outlet.csv",
        "staff.csv",
        "pastry_inventory.csv",
        "Dates.csv",
    )
    for name in files:
        deliver("coffee_chain", (folder / name).read_bytes())

    report = run(warehouse)

    assert (report.loads, report.refused) == (6, 1)
    assert "no layout that coffee_chain knows" in report.refusals[0]
    assert ask("select count(*), sum(net_amount), count(distinct sale_id) from core.sale_lines") == [
        (49_894, Decimal("233635.95"), 39_271)
    ]
    assert ask("select store_id, sum(net_amount) from marts.monthly_store_sales group by 1 order by 1") == [
        ("coffee_chain:3", Decimal("77213.23")),
        ("coffee_chain:5", Decimal("76894.47")),
        ("coffee_chain:8", Decimal("79528.25")),
    ]
    assert ask("select count(*) from core.products where not is_master") == [(0,)]
    assert ask("select count(*) from marts.daily_product_sales where product_name ~ '^[0-9]+$'") == [(0,)]
    assert ask("select count(*) from core.stock_movements") == [(3 * 307,)]


def test_the_dirty_cafe_is_received_rebuilt_or_rejected_and_nothing_else(
    warehouse: Settings, deliver: Deliver, ask: Ask, shared_data: Path
) -> None:
    load_id = deliver("dirty_cafe", (shared_data / "dirty_cafe/dirty_cafe_sales.csv").read_bytes())

    run(warehouse)

    ((profile,),) = ask("select profile from ops.loads where load_id = %s", load_id)
    assert profile["amount_received"] == {"rows": 9498, "net_amount": "84763.50"}
    assert profile["amount_rebuilt"] == {"rows": 462, "net_amount": "4188.50"}
    assert profile["amount_unknown"] == {"rows": 40, "net_amount": "0.00"}
    ((lines,),) = ask("select count(*) from core.sale_lines")
    ((rejects,),) = ask("select count(*) from ops.rejects where resolved_at is null")
    assert lines + rejects == 10_000


def test_baskets_without_prices_have_unknown_amounts_not_zeros(
    warehouse: Settings, deliver: Deliver, ask: Ask, shared_data: Path
) -> None:
    deliver("bread_basket", (shared_data / "bread_basket/BreadBasket_DMS.csv").read_bytes())

    run(warehouse)

    assert ask("select count(*), count(net_amount), sum(quantity) from core.sale_lines") == [(20_507, 0, 20_507)]
    assert ask("select reason, count(*) from ops.rejects group by 1") == [("Item is missing", 786)]
    assert ask("select sum(net_amount), sum(unknown_amount_line_count) from marts.daily_store_sales") == [
        (None, 20_507)
    ]


# --- a receipt and its later versions ----------------------------------------------------------------------


def test_a_later_export_replaces_a_receipt_as_a_set(warehouse: Settings, deliver: Deliver, ask: Ask) -> None:
    deliver("pos", export(line("R1", "Bun"), line("R1", "Tea"), line("R1", "Bun"), line("R2", "Pie", "5.00")))
    run(warehouse)
    assert receipt(ask, "R1") == [("Bun", 2), ("Tea", 2), ("Bun", 2)]

    deliver("pos", export(line("R1", "Bun"), line("R1", "Tea", "3.00")))
    run(warehouse)

    assert receipt(ask, "R1") == [("Bun", 2), ("Tea", 3)]
    assert receipt(ask, "R2") == [("Pie", 5)]
    assert ask("select sum(net_amount), sum(ticket_count), sum(item_quantity) from marts.daily_store_sales") == [
        (10, 2, 3)
    ]
    assert ask("select product_name, quantity from marts.daily_product_sales order by 1") == [
        ("Bun", 1),
        ("Pie", 1),
        ("Tea", 1),
    ]


def test_a_receipt_that_moved_leaves_its_old_day_and_store(warehouse: Settings, deliver: Deliver, ask: Ask) -> None:
    deliver("pos", export(line("R1", day="2026-05-31"), line("R2", day="2026-05-31", store="PanPan Norte")))
    run(warehouse)

    deliver("pos", export(line("R1", day="2026-06-02", store="PanPan Playa")))
    run(warehouse)

    assert ask("select business_date::text, store_id from marts.daily_store_sales order by 1") == [
        ("2026-05-31", "norte"),
        ("2026-06-02", "playa"),
    ]
    assert ask("select month::text, store_id from marts.monthly_store_sales order by 1") == [
        ("2026-05-01", "norte"),
        ("2026-06-01", "playa"),
    ]


def test_overlapping_windows_count_each_receipt_once(warehouse: Settings, deliver: Deliver, ask: Ask) -> None:
    days = [line(f"R{n}", day=f"2026-06-{n:02d}") for n in range(1, 10)]

    for window in (days[0:4], days[2:7], days[5:9], days[0:9]):
        deliver("pos", export(*reversed(window)))
        run(warehouse)

    assert total(ask, "pos") == (9, 18)


def test_two_equal_lines_of_one_basket_are_two_sales(warehouse: Settings, deliver: Deliver, ask: Ask) -> None:
    deliver("pos", export(line("R1", "Latte"), line("R1", "Latte")))
    run(warehouse)
    deliver("pos", export(line("R1", "Latte"), line("R1", "Latte"), line("R2")))
    run(warehouse)

    assert receipt(ask, "R1") == [("Latte", 2), ("Latte", 2)]


def test_an_older_version_of_an_order_never_replaces_a_newer_one(
    warehouse: Settings, deliver: Deliver, ask: Ask
) -> None:
    new = page(order("O1", ("Pizza", 900), updated="2026-06-10T13:00:00Z"))
    old = page(order("O1", ("Pizza", 900), ("Cola", 200), updated="2026-06-10T12:00:00Z"))

    for content in (new, old):
        deliver("pos_api", content, "orders")
        run(warehouse)
    deliver("pos_api", new, "orders")
    deliver("pos_api", old, "orders")
    run(warehouse)

    assert receipt(ask, "O1") == [("Pizza", 9)]


def test_an_open_order_is_no_sale_until_it_is_completed(warehouse: Settings, deliver: Deliver, ask: Ask) -> None:
    deliver("pos_api", page(order("O1", ("Pizza", 900), state="OPEN")), "orders")
    run(warehouse)
    assert total(ask, "pos_api") == (0, None)

    deliver("pos_api", page(order("O1", ("Pizza", 900), updated="2026-06-10T14:00:00Z")), "orders")
    run(warehouse)

    assert receipt(ask, "O1") == [("Pizza", 9)]


def test_a_cancelled_order_stays_and_is_reversed(warehouse: Settings, deliver: Deliver, ask: Ask) -> None:
    deliver("pos_api", page(order("O1", ("Pizza", 900)), order("O2", ("Cola", 200))), "orders")
    run(warehouse)

    deliver("pos_api", page(order("O1", ("Pizza", 900), updated="2026-06-10T14:00:00Z", state="CANCELED")), "orders")
    run(warehouse)

    assert ask("select receipt_number, event, net_amount, reverses_sale_id is not null from core.sales order by 1") == [
        ("O1", "voided", 9, False),
        ("O1#void", "void", -9, True),
        ("O2", "sale", 2, False),
    ]
    assert ask("select sum(net_amount), sum(ticket_count), sum(refund_count) from marts.daily_store_sales") == [
        (2, 1, 0)
    ]


def test_a_payment_goes_with_the_order_that_was_cancelled_before_it_was_taken(
    warehouse: Settings, deliver: Deliver, ask: Ask
) -> None:
    deliver("pos_api", page(order("O1", ("Pizza", 900)), order("O2", ("Cola", 200))), "orders")
    run(warehouse)
    cancelled = order("O1", ("Pizza", 900), updated="2026-06-10T14:00:00Z", state="CANCELED", tenders=[])
    deliver("pos_api", page(cancelled), "orders")
    run(warehouse)

    paid = "select receipt_number from core.payments inner join core.sales using (sale_id)"
    assert ask(paid) == [("O2",)]
    assert ask("select closed_cause from core_history.payments_versions") == [("correction",)]
    assert rebuild(warehouse, compare_only=True).is_equal


RETURN = {
    "line_items": None,
    "returns": [
        {
            "source_order_id": "O1",
            "return_line_items": [
                {
                    "name": "Pizza",
                    "quantity": "1",
                    "metadata": {"sku": "PIZZA"},
                    "gross_return_money": {"amount": 900},
                    "total_money": {"currency": "EUR"},
                }
            ],
        }
    ],
}


@pytest.mark.parametrize("sale_first", [True, False])
def test_a_return_finds_its_sale_whichever_comes_first(
    warehouse: Settings, deliver: Deliver, ask: Ask, sale_first: bool
) -> None:
    pages = [page(order("O1", ("Pizza", 900))), page(order("O2", **RETURN))]

    for content in pages if sale_first else reversed(pages):
        deliver("pos_api", content, "orders")
        run(warehouse)

    assert ask(
        "select refund.event, refund.net_amount, sale.receipt_number from core.sales as refund "
        "inner join core.sales as sale on refund.reverses_sale_id = sale.sale_id"
    ) == [("refund", -9, "O1")]
    assert ask("select sum(net_amount), sum(refund_amount) from marts.daily_store_sales") == [(0, 9)]


@pytest.mark.parametrize("sale_first", [True, False])
def test_a_till_s_refund_finds_its_sale_by_the_payment(
    warehouse: Settings, deliver: Deliver, ask: Ask, sale_first: bool
) -> None:
    files = [
        export(line("R1", payment="P7")),
        export(line("R2", net="-2.00", qty="-1.0", event="Refund", payment="P7", day="2026-06-12")),
    ]

    for content in files if sale_first else reversed(files):
        deliver("pos", content)
        run(warehouse)

    assert ask(
        "select refund.receipt_number, sale.receipt_number from core.sales as refund "
        "inner join core.sales as sale on refund.reverses_sale_id = sale.sale_id"
    ) == [("R2", "R1")]
    assert ask("select business_date::text, net_amount, refund_amount from marts.daily_store_sales order by 1") == [
        ("2026-06-10", 2, 0),
        ("2026-06-12", -2, 2),
    ]


def test_a_refund_that_turns_out_to_be_an_exchange_lets_go_of_its_sale(
    warehouse: Settings, deliver: Deliver, ask: Ask
) -> None:
    deliver("pos_api", page(order("O1", ("Pizza", 900)), order("O2", **RETURN)), "orders")
    run(warehouse)

    exchange = order("O2", ("Salad", 1000), updated="2026-06-10T15:00:00Z", returns=RETURN["returns"])
    deliver("pos_api", page(exchange), "orders")
    report = run(warehouse)

    assert report.loads == 1
    assert ask("select event, net_amount, reverses_sale_id from core.sales where receipt_number = 'O2'") == [
        ("sale", 1, None)
    ]


def test_a_sale_that_is_no_longer_void_loses_its_reversal_for_good(
    warehouse: Settings, deliver: Deliver, ask: Ask
) -> None:
    void = page(order("O1", ("Pizza", 900), updated="2026-06-10T12:00:00Z", state="CANCELED"))
    again = page(order("O1", ("Pizza", 700), updated="2026-06-10T13:00:00Z"))

    for content in (void, again, void):
        deliver("pos_api", content, "orders")
        run(warehouse)
    deliver("pos_api", again, "orders")
    deliver("pos_api", void, "orders")
    run(warehouse)

    assert ask("select receipt_number, event, net_amount from core.sales") == [("O1", "sale", 7)]
    assert ask("select sum(net_amount), sum(ticket_count) from marts.daily_store_sales") == [(7, 1)]


def test_a_file_that_comes_late_changes_its_own_days_alone(warehouse: Settings, deliver: Deliver, ask: Ask) -> None:
    deliver("pos", export(line("R5", day="2026-06-05"), line("R7", day="2026-06-07")))
    run(warehouse)
    before = ask("select xmin::text, business_date::text from marts.daily_store_sales order by 2")

    deliver("pos", export(line("R6", day="2026-06-06")))
    run(warehouse)

    after = ask("select xmin::text, business_date::text from marts.daily_store_sales order by 2")
    assert [row for row in after if row[1] != "2026-06-06"] == before
    assert len(after) == 3


def test_a_load_committed_late_with_a_lower_number_is_taken(warehouse: Settings, deliver: Deliver, ask: Ask) -> None:
    deliver("pos", export(line("R9")), load_id=9000)
    run(warehouse)

    deliver("pos", export(line("R1")), load_id=17)
    report = run(warehouse)

    assert report.loads == 1
    assert total(ask, "pos") == (2, 4)


@pytest.mark.parametrize("status", ["open", "failed", "duplicate"])
def test_a_load_that_is_not_received_is_left_alone(
    warehouse: Settings, deliver: Deliver, ask: Ask, status: str
) -> None:
    deliver("pos", export(line("R1")), status=status)

    report = run(warehouse)

    assert (report.loads, report.refused) == (0, 0)
    assert total(ask, "pos") == (0, None)
    assert ask("select status from ops.loads") == [(status,)]


def test_a_sale_in_the_hour_that_comes_twice_and_one_in_the_hour_that_does_not_exist(
    warehouse: Settings, deliver: Deliver, ask: Ask
) -> None:
    deliver(
        "pos", export(line("R1", day="2026-03-29", clock="02:30:00"), line("R2", day="2026-10-25", clock="02:30:00"))
    )

    run(warehouse)

    assert ask(
        "select (sold_at at time zone 'UTC')::text, business_date::text from core.sales order by receipt_number"
    ) == [
        ("2026-03-29 01:00:00", "2026-03-28"),
        ("2026-10-25 00:30:00", "2026-10-24"),
    ]


# --- what is named ----------------------------------------------------------------------------------------

RECEIPTS = (
    "transaction_id,transaction_date,transaction_time,sales_outlet_id,staff_id,customer_id,instore_yn,"
    "order,line_item_id,product_id,quantity,line_item_amount,unit_price,promo_item_yn\n"
)
CHAIN_SALES = RECEIPTS + "1,2019-04-01,09:00:00,9,7,501,Y,1,1,71,1,3.75,3.75,N\n"
CHAIN_PRODUCTS = (
    "product_id,product_group,product_category,product_type,product,product_description,unit_of_measure,"
    "current_wholesale_price,current_retail_price,tax_exempt_yn,promo_yn,new_product_yn\n71,Food,Bakery,"
    "Pastry,Croissant,Flaky,each,1,$3.75 ,Y,N,N\n"
)
CHAIN_STORES = (
    "sales_outlet_id,sales_outlet_type,store_square_feet,store_address,store_city,store_state_province,"
    "store_telephone,store_postal_code,store_longitude,store_latitude,manager,Neighorhood\n9,retail,1,x,"
    "Queens,NY,1,1,1,1,1,Ridgewood\n"
)
CHAIN_CUSTOMERS = (
    "customer_id,home_store,customer_first-name,customer_email,customer_since,loyalty_card_number,"
    "birthdate,gender,birth_year\n501,9,Ana Ruiz,Ana@x.org,2017-01-04,908,1950-05-29,F,1950\n"
)
CHAIN_STAFF = "staff_id,first_name,last_name,position,start_date,location,,\n7,Sue,Tindale,CFO,8/3/2001,HQ,,\n"
LISTS = (CHAIN_PRODUCTS, CHAIN_STORES, CHAIN_CUSTOMERS, CHAIN_STAFF)


@pytest.mark.parametrize("order_of", ["lists first", "sales first", "all at once"])
def test_lists_name_what_sales_mention_before_or_after(
    warehouse: Settings, deliver: Deliver, ask: Ask, order_of: str
) -> None:
    files = [*LISTS, CHAIN_SALES] if order_of == "lists first" else [CHAIN_SALES, *LISTS]

    for content in files:
        deliver("coffee_chain", content)
        if order_of != "all at once":
            run(warehouse)
    run(warehouse)

    assert ask("select product_name, category, list_price, is_master from core.products") == [
        ("Croissant", "Bakery", Decimal("3.75"), True)
    ]
    assert ask("select store_id, store_name, kind, city from core.stores") == [
        ("coffee_chain:9", "Ridgewood", "shop", "Queens")
    ]
    assert ask("select full_name, email, loyalty_card, customer_since::text from core.customers") == [
        ("Ana Ruiz", "ana@x.org", "908", "2017-01-04")
    ]
    assert ask("select full_name, job_title from core.employees") == [("Sue Tindale", "CFO")]
    assert ask("select product_name, category from marts.daily_product_sales") == [("Croissant", "Bakery")]
    for mart in ("daily_store_sales", "monthly_store_sales"):
        assert ask(f"select store_name from marts.{mart}") == [("Ridgewood",)]  # noqa: S608  # a mart's name


def test_a_store_only_mentioned_is_a_store_by_its_name(warehouse: Settings, deliver: Deliver, ask: Ask) -> None:
    deliver("pos", export(line("R1", store="Market stall"), line("R2")))

    run(warehouse)

    assert ask("select store_id, store_name, kind, time_zone from core.stores order by 1") == [
        ("centro", "PanPan Centro", "shop", "Europe/Madrid"),
        ("pos:Market stall", "Market stall", "unknown", "Europe/Madrid"),
    ]


@pytest.mark.parametrize("newest_first", [True, False])
def test_the_newest_sale_s_name_of_a_product_counts_in_all_marts(
    warehouse: Settings, deliver: Deliver, ask: Ask, newest_first: bool
) -> None:
    files = [
        export(line("R1", "matcha latte", sku="ML", day="2026-05-01")),
        export(line("R2", "Matcha Latte", sku="ML", day="2026-06-01")),
    ]

    for content in reversed(files) if newest_first else files:
        deliver("pos", content)
        run(warehouse)

    assert ask("select product_name from core.products") == [("Matcha Latte",)]
    assert ask("select distinct product_name from marts.daily_product_sales") == [("Matcha Latte",)]


def test_customers_and_their_months(warehouse: Settings, deliver: Deliver, ask: Ask) -> None:
    deliver(
        "pos",
        export(
            line("R1", day="2026-05-10", customer="A"),
            line("R2", day="2026-06-10", customer="A"),
            line("R3", day="2026-06-11", customer="B"),
            line("R4", day="2026-06-11"),
        ),
    )
    run(warehouse)
    deliver("pos", export(line("R0", day="2026-04-10", customer="B")))
    run(warehouse)

    assert ask(
        "select month::text, full_name, ticket_count, is_new, first_purchase_on::text from marts.customer_activity "
        "inner join core.customers using (customer_id) order by 1, 2"
    ) == [
        ("2026-04-01", "Customer B", 1, True, "2026-04-10"),
        ("2026-05-01", "Customer A", 1, True, "2026-05-10"),
        ("2026-06-01", "Customer A", 1, False, "2026-05-10"),
        ("2026-06-01", "Customer B", 1, False, "2026-04-10"),
    ]
    assert ask("select month::text, customer_count from marts.monthly_store_sales order by 1") == [
        ("2026-04-01", 1),
        ("2026-05-01", 1),
        ("2026-06-01", 2),
    ]


def test_a_customer_taken_out_of_a_receipt_leaves_the_customers_marts(
    warehouse: Settings, deliver: Deliver, ask: Ask
) -> None:
    deliver("pos", export(line("R1", customer="A")))
    run(warehouse)

    deliver("pos", export(line("R1", customer="B")))
    run(warehouse)

    assert ask("select full_name from marts.customer_activity inner join core.customers using (customer_id)") == [
        ("Customer B",)
    ]


# --- stock -------------------------------------------------------------------------------------------------


def test_stock_levels_movements_and_items_give_the_status(warehouse: Settings, deliver: Deliver, ask: Ask) -> None:
    items = {
        "items": [
            {
                "item_id": "1",
                "sku": "FLOUR",
                "name": "Flour",
                "kind": "ingredient",
                "unit": "kg",
                "purchase_rate": 0.85,
                "reorder_level": "10",
                "supplier_id": "S1",
                "supplier_name": "Mill",
                "status": "active",
            }
        ]
    }
    level = {"item_id": "1", "location_id": "W-NORTE", "sku": "FLOUR", "on_hand": "8.00"}
    used = [
        {
            "movement_id": f"M{n}",
            "sku": "FLOUR",
            "location_id": "W-NORTE",
            "kind": "use",
            "quantity": "-2.8",
            "moved_at": f"2026-06-{n:02d}T12:00:00+02:00",
            "last_modified_time": "2026-06-20T00:00:00+02:00",
        }
        for n in range(1, 11)
    ]

    deliver("inventory", json.dumps({"levels": [{**level, "counted_at": "2026-06-10T20:00:00+02:00"}]}), "levels")
    run(warehouse)
    deliver("inventory", json.dumps(items), "items")
    deliver("inventory", json.dumps({"movements": used}), "movements")
    run(warehouse)
    deliver(
        "inventory",
        json.dumps({"levels": [{**level, "on_hand": "99", "counted_at": "2026-06-09T20:00:00+02:00"}]}),
        "levels",
    )
    deliver(
        "inventory",
        json.dumps({"movements": [{**used[0], "quantity": "-999", "last_modified_time": "2026-06-19T00:00:00+02:00"}]}),
        "movements",
    )
    run(warehouse)

    assert ask(
        "select sku, store_name, on_hand_quantity, daily_use_quantity, days_of_cover, is_low, "
        "inventory_value from marts.inventory_status"
    ) == [("FLOUR", "PanPan Norte", 8, 1, 8, True, Decimal("6.80"))]


def delivery(number: str, *lines: tuple[str, str]) -> str:
    inside = "".join(
        f'<line sku="{sku}" quantity="{quantity}" unit="kg" unit_cost="0.85" expires_on="2026-12-01"/>'
        for sku, quantity in lines
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><deliveries page="1" pages="1">'
        f'<delivery id="{number}" supplier_id="S1" supplier="Mill" location="W-NORTE" '
        f'delivered_at="2026-06-01T06:00:00+02:00">{inside}</delivery></deliveries>'
    )


def test_a_delivery_is_replaced_as_a_set(warehouse: Settings, deliver: Deliver, ask: Ask) -> None:
    deliver("inventory", delivery("D1", ("FLOUR", "25"), ("SALT", "1"), ("FLOUR", "25")), "deliveries")
    run(warehouse)
    assert ask("select count(*), sum(quantity) from core.deliveries") == [(3, 51)]

    deliver("inventory", delivery("D1", ("FLOUR", "20")), "deliveries")
    run(warehouse)

    assert ask(
        "select line_number, product_key, quantity from core.deliveries inner join core.products using (product_id)"
    ) == [(1, "FLOUR", 20)]


def test_a_load_that_ends_late_never_replaces_what_came_after_it(
    warehouse: Settings, deliver: Deliver, ask: Ask
) -> None:
    def item(name: str) -> str:
        known = {"item_id": "1", "sku": "FLOUR", "name": name, "kind": "ingredient", "unit": "kg", "reorder_level": "1"}
        return json.dumps({"items": [{**known, "supplier_id": "S1", "supplier_name": name, "status": "active"}]})

    def level(on_hand: str) -> str:
        known = {"item_id": "1", "location_id": "W-NORTE", "sku": "FLOUR", "counted_at": "2026-06-10T20:00:00+02:00"}
        return json.dumps({"levels": [{**known, "on_hand": on_hand}]})

    def used(quantity: str) -> str:
        known = {"movement_id": "M1", "sku": "FLOUR", "location_id": "W-NORTE", "kind": "use"}
        return json.dumps({"movements": [{**known, "quantity": quantity, "moved_at": "2026-06-10T12:00:00+02:00"}]})

    def all_of(name: str, number: str, status: str) -> None:
        deliver("inventory", item(name), "items", status=status)
        deliver("inventory", level(number), "levels", status=status)
        deliver("inventory", used(f"-{number}"), "movements", status=status)
        deliver("inventory", delivery("D1", ("FLOUR", number)), "deliveries", status=status)

    all_of("Old flour", "1", "open")  # begun first, ends last; no source says when it changed what
    all_of("Flour", "2", "received")
    run(warehouse)
    ask("update ops.loads set status = 'received' where status = 'open'")
    run(warehouse)

    assert ask("select product_name from core.products") == [("Flour",)]
    assert ask("select distinct reorder_level, load_id from core.inventory") == [(1, 5)]
    assert ask("select on_hand_quantity from core.stock_levels") == [(2,)]
    assert ask("select quantity from core.stock_movements") == [(-2,)]
    assert ask("select quantity from core.deliveries") == [(2,)]
    assert ask("select distinct load_id > 4 from core.suppliers") == [(True,)]


# --- again, in another order, and by another way -----------------------------------------------------------


def replay_all(warehouse: Settings) -> None:
    with connect(warehouse, "owner") as connection, connection.cursor() as cursor:
        cursor.execute("update ops.loads set status = 'received' where status = 'loaded'")


def test_a_second_run_and_a_replay_change_nothing(warehouse: Settings, deliver: Deliver, contents: Contents) -> None:
    def everything() -> dict[str, list[str]]:
        found = contents("core", "marts", "raw_pos", "ops", without=("finished_at", "rejected_at"))
        return {table: rows for table, rows in found.items() if table != "ops.runs"}

    for content in (CHAIN_SALES, *LISTS):
        deliver("coffee_chain", content)
    deliver(
        "pos",
        export(
            line("R1", customer="A"),
            line("R1", "Tea"),
            line("R2", qty="x"),
            line("R3", net="-2.00", event="Refund", payment="PR1"),
        ),
    )
    deliver("pos_api", page(order("O1", ("Pizza", 900), state="CANCELED"), order("O2", **RETURN)), "orders")
    run(warehouse)
    before = everything()

    assert run(warehouse).loads == 0
    assert everything() == before

    replay_all(warehouse)
    assert run(warehouse).loads == 7
    assert everything() == before


RECOMPUTED = {
    "daily_store_sales": """
        select s.business_date, s.store_id, (select store_name from core.stores t
            where t.store_id = s.store_id), s.source,
            coalesce(s.channel, 'unknown'), s.currency_code,
            sum((s.event = 'sale')::int)::int, sum((s.event = 'refund')::int)::int, count(distinct s.customer_id)::int,
            sum((select sum(l.quantity) from core.sale_lines l where l.sale_id = s.sale_id)),
            sum(case when s.event = 'sale' then s.gross_amount end),
                sum(case when s.event = 'sale' then s.discount_amount end),
            coalesce(sum(case when s.event = 'refund' then -s.net_amount end), 0), sum(s.net_amount), sum(s.tax_amount),
            coalesce(sum((select count(*) from core.sale_lines l
                where l.sale_id = s.sale_id and l.net_amount is null)), 0)::int
        from core.sales s group by s.business_date, s.store_id, s.source, coalesce(s.channel, 'unknown'),
            s.currency_code
    """,
    "monthly_store_sales": """
        select date_trunc('month', s.business_date)::date, s.store_id,
            (select store_name from core.stores t where t.store_id = s.store_id), s.source, s.currency_code,
            sum((s.event = 'sale')::int)::int, sum((s.event = 'refund')::int)::int, count(distinct s.customer_id)::int,
            sum((select sum(l.quantity) from core.sale_lines l where l.sale_id = s.sale_id)),
            sum(case when s.event = 'sale' then s.gross_amount end),
                sum(case when s.event = 'sale' then s.discount_amount end),
            coalesce(sum(case when s.event = 'refund' then -s.net_amount end), 0), sum(s.net_amount), sum(s.tax_amount)
        from core.sales s group by 1, s.store_id, s.source, s.currency_code
    """,
    "daily_product_sales": """
        select l.business_date, s.store_id, s.source, l.product_id, p.product_name, p.category,
            l.currency_code, sum(l.quantity), sum(l.net_amount),
            count(distinct case when s.event = 'sale' then s.sale_id end)::int
        from core.sale_lines l, core.sales s, core.products p
            where l.sale_id = s.sale_id and l.product_id = p.product_id
        group by l.business_date, s.store_id, s.source, l.product_id, p.product_name, p.category, l.currency_code
    """,
    "customer_activity": """
        select m.month, m.customer_id, m.source, m.currency_code, m.n, m.net, f.first, m.last,
            date_trunc('month', f.first) = m.month
        from (select date_trunc('month', business_date)::date as month, customer_id, source, currency_code,
            count(*)::int as n, sum(net_amount) as net,
                  max(business_date) as last
              from core.sales where event = 'sale' and customer_id is not null group by 1, 2, 3, 4) m
        join (select customer_id, min(business_date) as first from core.sales
            where event = 'sale' group by 1) f using (customer_id)
    """,
}
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)  # each example is a database of its own
EVENT = st.tuples(
    st.integers(1, 6),
    st.integers(1, 9),
    st.sampled_from(["2026-05-30", "2026-05-31", "2026-06-01"]),
    st.sampled_from(["PanPan Centro", "PanPan Norte", "Stall"]),
    st.sampled_from(["", "A", "B"]),
    st.sampled_from(["Bun", "bun", "Tea"]),
    st.sampled_from(["Payment", "Payment", "Refund"]),
    st.sampled_from(["09:00:00", "02:00:00"]),
)


def plain(rows: list[tuple[Any, ...]]) -> list[str]:
    """Rows as sorted texts, amounts without the zeros behind them."""
    return sorted(str([value.normalize() if isinstance(value, Decimal) else value for value in row]) for row in rows)


@settings(
    max_examples=6,
    deadline=None,
    phases=NO_SHRINKING,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    loads=st.lists(
        st.one_of(
            st.lists(EVENT, min_size=1, max_size=6).map(lambda events: ("pos", events)),
            st.lists(
                st.tuples(
                    st.integers(1, 4),
                    st.integers(1, 9),
                    st.sampled_from(["COMPLETED", "CANCELED", "OPEN"]),
                    st.integers(0, 5),
                ),
                min_size=1,
                max_size=4,
            ).map(lambda orders: ("pos_api", orders)),
        ),
        min_size=3,
        max_size=7,
    ),
    together=st.booleans(),
)
def test_marts_equal_what_plain_sql_over_core_gives(
    new_warehouse: Any, deliver: Deliver, ask: Ask, loads: list[tuple[str, list[Any]]], together: bool
) -> None:
    with new_warehouse() as warehouse:
        for source, what in loads:
            if source == "pos":
                rows = [
                    line(
                        f"R{n}",
                        item,
                        f"{'-' if event == 'Refund' else ''}{euros}.00",
                        day=day,
                        store=store,
                        customer=customer,
                        event=event,
                        clock=clock,
                        qty="-1" if event == "Refund" else "1",
                        sku=item.upper(),
                    )
                    for n, euros, day, store, customer, item, event, clock in what
                ]
                deliver("pos", export(*rows), settings=warehouse)
            else:
                numbered = {
                    n: order(f"O{n}", ("Pizza", euros * 100), state=state, updated=f"2026-06-10T1{hour}:00:00Z")
                    for n, euros, state, hour in what
                }
                deliver("pos_api", page(*numbered.values()), "orders", settings=warehouse)
            if not together:
                run(warehouse)
        run(warehouse)

        assert ask("select count(*) from ops.loads where status <> 'loaded'", settings=warehouse) == [(0,)]
        for mart, text in RECOMPUTED.items():
            kept = plain(ask(f"select * from marts.{mart}", settings=warehouse))  # noqa: S608  # a mart's name
            assert kept == plain(ask(text, settings=warehouse)), f"{mart} {loads}"
        assert ask("select sum(net_amount) from core.sale_lines", settings=warehouse) == ask(
            "select sum(net_amount) from core.sales", settings=warehouse
        )
