"""
Lists that come again: what is newer stays, in whatever order the lists were received and their loads ended.

Newer is what the source changed later; where it tells no time, what was received later.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from panpan.settings import Settings
from transforms.run import run

CHAIN = """
source = "chain"
title = "Chain"
system = "pos"
owner = "Owner"
time_zone = "Europe/Madrid"
currency_code = "EUR"
catalogue = "chain"
warn_after_hours = 24
error_after_hours = 48

[[entities]]
entity = "products"
kind = "products"
recognised_by = ["product"]
record_id = ["product"]
[entities.columns]
product_key = { from = "product", required = true }
product_name = { from = "told" }
supplier = { from = "supplier" }
supplier_name = { from = "told" }
updated_at = { from = "changed", type = "timestamp" }

[[entities]]
entity = "stores"
kind = "stores"
recognised_by = ["store"]
record_id = ["store"]
[entities.columns]
store = { from = "store", required = true }
store_name = { from = "told" }
updated_at = { from = "changed", type = "timestamp" }

[[entities]]
entity = "employees"
kind = "employees"
recognised_by = ["employee"]
record_id = ["employee"]
[entities.columns]
employee = { from = "employee", required = true }
full_name = { from = "told" }
updated_at = { from = "changed", type = "timestamp" }

[[entities]]
entity = "sale_lines"
kind = "sale_lines"
recognised_by = ["receipt"]
record_id = ["receipt"]
[entities.columns]
receipt_number = { from = "receipt", required = true }
sold_at = { from = "sold", type = "timestamp", required = true }
product_name = { from = "item", required = true }
employee = { from = "seller" }
employee_name = { from = "seller_name" }
"""
DEPOT = """
source = "depot"
title = "Depot"
system = "inventory"
owner = "Owner"
time_zone = "Europe/Madrid"
currency_code = "EUR"
catalogue = "depot"
warn_after_hours = 24
error_after_hours = 48

[[entities]]
entity = "items"
kind = "products"
recognised_by = ["item"]
record_id = ["item"]
[entities.columns]
product_key = { from = "item", required = true }
unit_cost = { from = "told", type = "decimal" }
updated_at = { from = "changed", type = "timestamp" }

[[entities]]
entity = "levels"
kind = "stock_levels"
recognised_by = ["level"]
record_id = ["level"]
[entities.columns]
product_key = { from = "level", required = true }
on_hand_quantity = { from = "told", type = "decimal", required = true }
counted_at = { from = "changed", type = "timestamp" }

[[entities]]
entity = "movements"
kind = "stock_movements"
recognised_by = ["movement"]
record_id = ["movement"]
[entities.columns]
movement = { from = "movement", required = true }
product_key = { from = "product", required = true }
kind = { from = "kind", required = true }
quantity = { from = "told", type = "decimal", required = true }
moved_at = { from = "moved", type = "timestamp", required = true }
updated_at = { from = "changed", type = "timestamp" }
"""
# By table: source, header and row of its list ({n} tells examples apart), and where the value told is found.
LISTS = {
    "products": (
        "chain",
        "product,supplier,told,changed",
        "{n},,Name {told},{changed}",
        "select right(product_name, 1) from core.products where catalogue = 'chain' and product_key = %s",
    ),
    "suppliers": (
        "chain",
        "product,supplier,told,changed",
        "{n},{n},Name {told},{changed}",
        "select right(supplier_name, 1) from core.suppliers where source = 'chain' and source_supplier_id = %s",
    ),
    "stores": (
        "chain",
        "store,told,changed",
        "{n},Name {told},{changed}",
        "select right(store_name, 1) from core.stores where store_id = 'chain:' || %s",
    ),
    "employees": (
        "chain",
        "employee,told,changed",
        "{n},Name {told},{changed}",
        "select right(full_name, 1) from core.employees where source = 'chain' and source_employee_id = %s",
    ),
    "inventory": (
        "depot",
        "item,told,changed",
        "{n},{told},{changed}",
        "select round(unit_cost)::text from core.inventory where source = 'depot' and sku = %s",
    ),
    "stock_levels": (
        "depot",
        "level,told,changed",
        "{n},{told},{changed}",
        "select round(on_hand_quantity)::text from core.stock_levels inner join core.products using (product_id)"
        " where catalogue = 'depot' and product_key = %s",
    ),
    "stock_movements": (
        "depot",
        "movement,product,kind,told,moved,changed",
        "{n},{n},delivery,{told},2026-06-01 10:00:00,{changed}",
        "select round(quantity)::text from core.stock_movements where source = 'depot' and source_movement_id = %s",
    ),
}
OLDER, NEWER = "2026-06-01 10:00:00", "2026-06-02 10:00:00"
# What the first and the second list received say, when each was changed, and which of the two must be left.
TOLD = {
    "the second is newer": (OLDER, NEWER, "2"),
    "the first is newer": (NEWER, OLDER, "1"),
    "at one time": (OLDER, OLDER, "2"),
    "no times": ("", "", "2"),
    "only the first tells a time": (OLDER, "", "1"),
}
EXAMPLES = count(1)


@pytest.fixture(scope="module")
def shared_warehouse(new_warehouse: Any) -> Iterator[Settings]:
    """One warehouse for all examples, each about things of its own."""
    with new_warehouse() as fresh:
        fresh.own_contracts.mkdir(exist_ok=True)
        for name, text in (("chain", CHAIN), ("depot", DEPOT)):
            (fresh.own_contracts / f"{name}.toml").write_text(text, encoding="utf-8")
        yield fresh


@pytest.mark.parametrize("table", LISTS)
def test_a_list_never_replaces_a_newer_one_in_whatever_order_loads_end(
    shared_warehouse: Settings, deliver: Any, ask: Any, table: str
) -> None:
    source, header, row, query = LISTS[table]
    examples: dict[str, tuple[list[int], str]] = {}
    for first, second, expected in TOLD.values():
        for ends in ((0, 1), (1, 0)):
            n = f"{table}{next(EXAMPLES)}"
            lists = [row.format(n=n, told=place, changed=at) for place, at in enumerate((first, second), start=1)]
            begun = [deliver(source, f"{header}\n{text}\n", settings=shared_warehouse, status="open") for text in lists]
            examples[n] = ([begun[place] for place in ends], expected)
    for place in (0, 1):
        ask(
            "update ops.loads set status = 'received' where load_id = any(%s)",
            [loads[place] for loads, _ in examples.values()],
            settings=shared_warehouse,
        )
        assert run(shared_warehouse).refusals == []

    found = {n: ask(query, n, settings=shared_warehouse) for n in examples}

    assert found == {n: [(expected,)] for n, (_, expected) in examples.items()}


def test_what_a_receipt_says_of_an_employee_is_no_list(shared_warehouse: Settings, deliver: Any, ask: Any) -> None:
    late = deliver("chain", "employee,told,changed\nE,From the list,\n", settings=shared_warehouse, status="open")
    receipt = "receipt,sold,item,seller,seller_name\nR,2026-06-01 10:00:00,Bun,E,From a receipt\n"
    deliver("chain", receipt, settings=shared_warehouse)
    run(shared_warehouse)
    ask("update ops.loads set status = 'received' where load_id = %s", late, settings=shared_warehouse)
    run(shared_warehouse)
    deliver("chain", receipt.replace("R,", "S,"), settings=shared_warehouse)
    run(shared_warehouse)

    found = ask(
        "select full_name, is_listed from core.employees where source_employee_id = 'E'", settings=shared_warehouse
    )

    assert found == [("From the list", True)]
