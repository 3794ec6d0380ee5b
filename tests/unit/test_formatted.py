"""Each kind of record: received texts in, typed rows and rejects out; a row is never lost between the two."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.contract import Contract, Entity, find_contract, load_contracts
from transforms.documents import POSITION
from transforms.formatted.records import ROWS, Formatted, format_records
from transforms.formatted.values import TEXT

SALE = {
    "Transaction ID": "R1",
    "Event Type": "Payment",
    "Date": "2026-07-01",
    "Time": "09:00:56",
    "Time Zone": "Madrid",
    "Location": "PanPan Centro",
    "SKU": "BUN",
    "Item": "Bun",
    "Category": "Pastry",
    "Qty": "2.0",
    "Gross Sales": "€7.00",
    "Discounts": "-€1.00",
    "Net Sales": "€6.00",
    "Tax": "€0.60",
    "Payment ID": "P1",
}
LINE = {
    "id": "O1",
    "state": "COMPLETED",
    "created_at": "2026-07-01T10:00:00Z",
    "location_id": "L-DELIVERY",
    "line_items.name": "Bun",
    "line_items.quantity": "1",
    "line_items.gross_sales_money.amount": "350",
    "line_items.total_discount_money.amount": "50",
    "line_items.total_tax_money.amount": "30",
    "line_items.total_money.currency": "EUR",
    "total_tip_money.amount": "100",
}
MOVEMENT = {
    "movement_id": "M1",
    "sku": "FLOUR",
    "location_id": "W-NORTE",
    "kind": "use",
    "quantity": "-1.2500",
    "unit_cost": "0.8500",
    "moved_at": "2026-07-01T01:30:00+02:00",
    "last_modified_time": "2026-07-01T02:00:00+02:00",
}
STOCK_DAY = {
    "sales_outlet_id": "3",
    "transaction_date": "4/1/2019",
    "product_id": "69",
    "start_of_day": "18",
    "quantity_sold": "8",
    "waste": "10",
}


def entity_of(source: str, name: str | None = None) -> tuple[Contract, Entity]:
    contract = find_contract(source)
    return contract, contract.entity_named(name) if name else contract.entities[0]


def formatted(contract: Contract, entity: Entity, *rows: dict[str, str | None]) -> Formatted:
    """Rows without a position are records of their own."""
    places = [{POSITION: place, **row} for place, row in enumerate(rows, start=1)]
    frame = pd.DataFrame(places)
    received = dict.fromkeys((name for name in frame.columns if name != POSITION), TEXT)
    result = format_records(frame.astype(received), contract, entity)
    assert result.rows.schema == ROWS[entity.kind]
    found = set(result.rows["position"].to_pylist()) | set(result.rejects["position"])
    assert found == {place[POSITION] for place in places}
    assert not set(result.rows["position"].to_pylist()) & set(result.rejects["position"])
    return result


def of(source: str, *rows: dict[str, Any], entity: str | None = None, **changed: Any) -> Formatted:
    contract, known = entity_of(source, entity)
    return formatted(contract, known.model_copy(update=changed), *rows)


def only(result: Formatted) -> dict[str, Any]:
    assert result.rejects.empty, result.rejects.to_dict("records")
    (row,) = result.rows.to_pylist()
    return row


def reason(result: Formatted) -> str:
    assert result.rows.num_rows == 0
    (text,) = result.rejects["reason"]
    return text


# --- sale lines --------------------------------------------------------------------------------------------


def test_a_sale_s_line_is_typed_to_the_cent_and_placed_in_time() -> None:
    row = only(of("pos", SALE))

    assert row["receipt_number"] == "R1"
    assert row["event"] == "sale"
    assert row["store_id"] == "centro"
    assert row["sold_at"] == datetime(2026, 7, 1, 7, 0, 56, tzinfo=UTC)
    assert row["business_date"] == date(2026, 7, 1)
    assert (row["quantity"], row["gross_amount"], row["discount_amount"]) == (2, 7, 1)
    assert (row["net_amount"], row["tax_amount"]) == (Decimal("6.00"), Decimal("0.60"))
    assert row["amount_origin"] == "received"
    assert row["currency_code"] == "EUR"


def test_no_column_of_any_kind_is_a_float() -> None:
    for schema in ROWS.values():
        assert not any(pa.types.is_floating(field.type) for field in schema)


def test_a_sale_at_night_counts_for_the_day_before() -> None:
    assert only(of("pos", {**SALE, "Time": "03:59:59"}))["business_date"] == date(2026, 6, 30)
    assert only(of("pos", {**SALE, "Time": "04:00:00"}))["business_date"] == date(2026, 7, 1)


def test_a_refund_keeps_its_signs_and_its_payment() -> None:
    row = only(
        of(
            "pos",
            {
                **SALE,
                "Event Type": "Refund",
                "Qty": "-2.0",
                "Gross Sales": "-€7.00",
                "Discounts": "€1.00",
                "Net Sales": "-€6.00",
            },
        )
    )

    assert (row["event"], row["net_amount"], row["discount_amount"], row["payment_reference"]) == (
        "refund",
        -6,
        -1,
        "P1",
    )


def test_two_equal_lines_stay_two() -> None:
    assert of("pos", SALE, SALE).rows.num_rows == 2


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"Net Sales": "ERROR"}, "Net Sales can't be read as an amount"),
        ({"Net Sales": ""}, "Net Sales is missing"),
        ({"Net Sales": "€6.005"}, "net_amount has more than two decimals"),
        ({"Gross Sales": "€99999999999"}, "Gross Sales can't be read as an amount"),
        ({"Qty": "0"}, "the quantity is 0"),
        ({"Qty": "-0.0"}, "the quantity is 0"),
        ({"Qty": "two"}, "Qty can't be read as a number"),
        ({"Date": "01/07/2026"}, "Date can't be read as a date"),
        ({"Date": "2262-04-11"}, "Date can't be read as a date"),
        ({"Time": ""}, "Time is missing"),
        ({"Time Zone": "Narnia"}, "the time zone is not known; add it to [zones] of pos"),
        ({"Event Type": "Theft"}, "Event Type means none of: sale, refund"),
        ({"Transaction ID": " "}, "Transaction ID is missing"),
        ({"Transaction ID": "R" * 601}, "Transaction ID is longer than 600 characters"),
        ({"Item": "", "SKU": ""}, "SKU, Item is missing"),
        ({"Location": None}, "Location is missing"),
    ],
)
def test_a_fault_rejects_the_record_with_its_first_reason(change: dict[str, str | None], why: str) -> None:
    assert reason(of("pos", {**SALE, **change})) == why


def test_a_reject_shows_what_was_received() -> None:
    result = of("pos", SALE, {**SALE, "Net Sales": " ERROR "})

    (found,) = result.rejects.to_dict("records")
    assert (found["position"], found["column_name"], found["received_value"]) == (2, "Net Sales", " ERROR ")
    assert result.rows["position"].to_pylist() == [1]


def test_a_record_with_two_faults_is_one_reject() -> None:
    assert len(of("pos", {**SALE, "Net Sales": "x", "Qty": "y"}).rejects) == 1


def test_a_long_note_is_no_fault() -> None:
    assert only(of("pos", {**SALE, "Notes": "n" * 5000}))["note"] == "n" * 5000


def test_a_missing_net_amount_is_gross_less_discount_where_the_contract_lets_it() -> None:
    contract, entity = entity_of("pos")
    lenient = entity.model_copy(
        update={
            "columns": {
                **entity.columns,
                "net_amount": entity.columns["net_amount"].model_copy(update={"required": False}),
            }
        }
    )

    row = only(formatted(contract, lenient, {**SALE, "Net Sales": ""}))

    assert (row["net_amount"], row["amount_origin"]) == (Decimal("6.00"), "received")


def test_a_missing_discount_is_none_and_not_unknown() -> None:
    row = only(of("pos", {**SALE, "Discounts": "", "Net Sales": "€7.00"}))

    assert row["discount_amount"] == 0


def test_negative_quantities_are_refunds_where_the_contract_says_so() -> None:
    returned = {**SALE, "Qty": "-1", "Gross Sales": "-€7.00", "Discounts": "€1.00", "Net Sales": "-€6.00"}
    rows = of("pos", SALE, returned, {**SALE, "Net Sales": "-€1.00"}, refunds="negative_quantity").rows

    assert rows["event"].to_pylist() == ["sale", "refund", "refund"]


def test_a_store_without_a_name_of_ours_is_one_of_the_source() -> None:
    rows = of("pos", SALE, {**SALE, "Location": "Market stall"}).rows

    assert rows["store_id"].to_pylist() == ["centro", "pos:Market stall"]


# --- amounts that are missing ------------------------------------------------------------------------------

CAFE = {
    "Transaction ID": "T1",
    "Item": "Cake",
    "Quantity": "3",
    "Price Per Unit": "1.10",
    "Total Spent": "3.30",
    "Transaction Date": "2023-05-01",
}


@pytest.mark.parametrize(
    ("change", "net", "origin"),
    [
        ({}, "3.30", "received"),
        ({"Total Spent": "ERROR"}, "3.30", "rebuilt"),
        ({"Total Spent": "", "Price Per Unit": "0.335"}, "1.01", "rebuilt"),
        ({"Total Spent": "0"}, "0.00", "received"),
    ],
)
def test_an_amount_is_received_or_rebuilt_and_says_which(change: dict[str, str], net: str, origin: str) -> None:
    row = only(of("dirty_cafe", {**CAFE, **change}))

    assert (row["net_amount"], row["amount_origin"]) == (Decimal(net), origin)
    assert row["gross_amount"] == Decimal(net)


def test_an_amount_that_can_t_be_rebuilt_is_rejected_and_counted() -> None:
    result = of(
        "dirty_cafe", {**CAFE, "Total Spent": "ERROR", "Quantity": "UNKNOWN"}, CAFE, {**CAFE, "Total Spent": ""}
    )

    assert list(result.rejects["reason"]) == ["no amount: it can't be read, nor rebuilt from quantity and price"]
    assert result.profile == {
        "amount_received": {"rows": 1, "net_amount": "3.30"},
        "amount_rebuilt": {"rows": 1, "net_amount": "3.30"},
        "amount_unknown": {"rows": 1, "net_amount": "0.00"},
    }


def test_a_rebuilt_amount_beyond_all_bounds_is_unknown() -> None:
    huge = {**CAFE, "Total Spent": "", "Quantity": "9999999999", "Price Per Unit": "9999999999"}

    assert reason(of("dirty_cafe", huge)).startswith("no amount")


def test_an_unknown_amount_is_kept_as_unknown_where_the_contract_says_so() -> None:
    row = only(of("bread_basket", {"Date": "2016-10-30", "Time": "09:58:11", "Transaction": "1", "Item": "Bread"}))

    assert (row["net_amount"], row["gross_amount"], row["discount_amount"], row["tax_amount"]) == (None,) * 4
    assert (row["amount_origin"], row["quantity"]) == ("unknown", 1)


def test_a_sale_with_a_day_alone_stands_at_the_opening_of_that_day() -> None:
    row = only(of("dirty_cafe", CAFE))

    assert row["business_date"] == date(2023, 5, 1)


# --- orders of an API --------------------------------------------------------------------------------------


def test_cents_and_a_positive_discount() -> None:
    row = only(of("pos_api", LINE))

    assert (row["gross_amount"], row["discount_amount"], row["net_amount"]) == (
        Decimal("3.50"),
        Decimal("0.50"),
        Decimal("3.00"),
    )
    assert (row["tax_amount"], row["tip_amount"]) == (Decimal("0.30"), Decimal("1.00"))
    assert row["channel"] == "delivery"


def test_a_cancelled_order_is_a_voided_sale_and_its_reversal() -> None:
    rows = of("pos_api", {**LINE, "state": "CANCELED"}).rows.to_pylist()

    assert [(row["receipt_number"], row["event"], row["net_amount"], row["quantity"]) for row in rows] == [
        ("O1", "voided", 3, 1),
        ("O1#void", "void", -3, -1),
    ]
    assert [row["reverses_receipt_number"] for row in rows] == [None, "O1"]
    assert sum(row["tax_amount"] + row["tip_amount"] for row in rows) == 0


def test_a_return_turns_positive_numbers_into_a_refund_that_names_its_sale() -> None:
    returned = {
        **LINE,
        "id": "O2",
        "returns.source_order_id": "O1",
        "line_items.gross_sales_money.amount": None,
        "line_items.gross_return_money.amount": "350",
    }

    row = only(of("pos_api", returned))

    assert (row["event"], row["quantity"], row["net_amount"], row["tax_amount"]) == ("refund", -1, -3, Decimal("-0.30"))
    assert row["reverses_receipt_number"] == "O1"


def test_a_fault_in_one_line_rejects_the_whole_order_and_no_other() -> None:
    result = of("pos_api", LINE, {**LINE, "id": "O2", "line_items.quantity": "x"}, {**LINE, "id": "O3"})

    assert result.rows["receipt_number"].to_pylist() == ["O1", "O3"]


def test_lines_of_one_order_share_its_position_and_its_fate() -> None:
    contract, entity = entity_of("pos_api")
    frame = pd.DataFrame(
        [{POSITION: 1, **LINE}, {POSITION: 1, **LINE, "line_items.quantity": "x"}, {POSITION: 2, **LINE}]
    )

    result = format_records(frame.astype({name: TEXT for name in LINE}), contract, entity)

    assert result.rows["position"].to_pylist() == [2]
    assert list(result.rejects["position"]) == [1]


@pytest.mark.parametrize(
    ("received", "code"), [("USD", "USD"), (None, "EUR"), ("EURO", None), ("eur", "EUR"), ("€", "EUR"), ("$", None)]
)
def test_mixed_currencies_are_kept_apart_and_other_words_rejected(received: str | None, code: str | None) -> None:
    result = of("pos_api", LINE, {**LINE, "id": "O2", "line_items.total_money.currency": received})

    assert result.rows["currency_code"].to_pylist() == ["EUR", *([code] if code else [])]
    assert list(result.rejects["reason"]) == (
        [] if code else ["currency_code: no ISO 4217 code and no sign that means one"]
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"state": "OPEN"}, "state means none of: sale, void"),
        ({"line_items.gross_sales_money.amount": "350.5"}, "can't be read as whole cents"),
        ({"created_at": "2026-07-01T10:00:00"}, "created_at"),
        ({"line_items.name": None}, "is missing"),
    ],
)
def test_a_faulty_order_is_rejected(change: dict[str, str | None], why: str) -> None:
    result = of("pos_api", LINE, {**LINE, **change})

    assert list(result.rejects["position"]) == [2]
    assert why in result.rejects["reason"].iloc[0]


# --- the other kinds ---------------------------------------------------------------------------------------


def test_a_contact_is_one_customer() -> None:
    row = only(
        of(
            "crm",
            {
                "id": "7",
                "properties.firstname": "Ana",
                "properties.lastname": None,
                "properties.email": " Ana@Example.ORG ",
                "createdAt": "2026-06-30T22:30:00Z",
                "updatedAt": "2026-07-01T00:00:00.5Z",
                "archived": "true",
            },
        )
    )

    assert (row["customer"], row["full_name"], row["email"], row["is_deleted"]) == ("7", "Ana", "ana@example.org", True)
    assert row["customer_since"] == date(2026, 7, 1)  # in Madrid it was past midnight
    assert row["updated_at"] == datetime(2026, 7, 1, 0, 0, 0, 500_000, tzinfo=UTC)


def test_a_contact_without_name_has_none() -> None:
    row = only(of("crm", {"id": "7"}))

    assert (row["full_name"], row["is_deleted"], row["customer_since"]) == (None, False, None)


def test_a_product_with_its_price() -> None:
    row = only(
        of(
            "coffee_chain",
            {"product_id": "1", "product": "Brazilian", "product_category": "Beans", "current_retail_price": "$18.00 "},
            entity="products",
        )
    )

    assert (row["product_key"], row["product_name"], row["list_price"], row["kind"]) == ("1", "Brazilian", 18, "sold")


def test_a_store_s_kind_is_one_we_know() -> None:
    known = of(
        "coffee_chain",
        {"sales_outlet_id": "3", "Neighorhood": "Astoria", "sales_outlet_type": "retail", "store_city": "LIC"},
        entity="stores",
    )
    odd = of(
        "coffee_chain",
        {"sales_outlet_id": "3", "Neighorhood": "Astoria", "sales_outlet_type": "kiosk"},
        entity="stores",
    )

    assert only(known) == {
        "position": 1,
        "store_id": "coffee_chain:3",
        "store_name": "Astoria",
        "kind": "shop",
        "city": "LIC",
        "updated_at": None,
    }
    assert reason(odd) == "sales_outlet_type means none of: shop, warehouse"


def test_an_employee_by_both_names() -> None:
    row = only(
        of(
            "coffee_chain",
            {"staff_id": "1", "first_name": "Sue", "last_name": "Tindale", "position": "CFO", "start_date": "8/3/2001"},
            entity="employees",
        )
    )

    assert (row["full_name"], row["job_title"], row["started_on"]) == ("Sue Tindale", "CFO", date(2001, 8, 3))


def test_a_level_never_counted_has_no_moment() -> None:
    row = only(
        of(
            "inventory",
            {"sku": "FLOUR", "location_id": "W-NORTE", "on_hand": "-3.5", "reorder_level": "10"},
            entity="levels",
        )
    )

    assert (row["store_id"], row["on_hand_quantity"], row["counted_at"]) == ("norte", Decimal("-3.5"), None)


def test_a_movement_in_the_night_belongs_to_the_day_before() -> None:
    row = only(of("inventory", MOVEMENT, entity="movements"))

    assert (row["business_date"], row["quantity"]) == (date(2026, 6, 30), Decimal("-1.25"))


def test_a_day_of_stock_gives_one_movement_per_counted_column() -> None:
    rows = of(
        "coffee_chain", STOCK_DAY, {**STOCK_DAY, "product_id": "70", "waste": "0"}, entity="stock_days"
    ).rows.to_pylist()

    found = {row["movement"]: (row["kind"], row["quantity"]) for row in rows}
    assert found == {
        "3/4/1/2019/69/production": ("production", 18),
        "3/4/1/2019/69/sale": ("sale", -8),
        "3/4/1/2019/69/waste": ("waste", -10),
        "3/4/1/2019/70/production": ("production", 18),
        "3/4/1/2019/70/sale": ("sale", -8),
        "3/4/1/2019/70/waste": ("waste", 0),
    }


def test_a_fault_in_one_counted_column_rejects_the_day_s_movements_together() -> None:
    result = of("coffee_chain", STOCK_DAY, {**STOCK_DAY, "waste": "?"}, entity="stock_days")

    assert result.rows["position"].to_pylist() == [1, 1, 1]
    assert list(result.rejects["reason"]) == ["waste can't be read as a number"]


def test_a_delivery_s_line() -> None:
    row = only(
        of(
            "inventory",
            {
                "id": "D1",
                "supplier_id": "S1",
                "supplier": "Mill",
                "location": "W-CENTRO",
                "delivered_at": "2026-07-01T06:00:00+02:00",
                "line.sku": "FLOUR",
                "line.quantity": "25.0",
                "line.unit": "kg",
                "line.unit_cost": "0.8512",
                "line.expires_on": "2026-12-01",
            },
            entity="deliveries",
        )
    )

    assert (row["delivery"], row["store_id"], row["unit_cost"]) == ("D1", "centro", Decimal("0.8512"))
    assert row["delivered_at"] == datetime(2026, 7, 1, 4, tzinfo=UTC)
    assert row["expires_on"] == date(2026, 12, 1)


@pytest.mark.parametrize(("drift", "rejected"), [("evolve", 0), ("discard_value", 0), ("discard_row", 1)])
def test_a_row_with_an_unknown_value_is_discarded_only_where_the_contract_says_so(drift: str, rejected: int) -> None:
    result = of("pos", {**SALE, "Table": "7"}, {**SALE, "Table": ""}, unknown_columns=drift)

    assert len(result.rejects) == rejected
    assert all("column Table is unknown" in text for text in result.rejects["reason"])


EACH = [(contract, entity) for contract in load_contracts().values() for entity in contract.entities]


@pytest.mark.parametrize(("contract", "entity"), EACH, ids=[f"{c.source}-{e.entity}" for c, e in EACH])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_any_texts_give_a_row_or_a_reject(contract: Contract, entity: Entity, data: st.DataObject) -> None:
    names = sorted(entity.known_columns)
    cell = (
        st.none()
        | st.text(max_size=6)
        | st.sampled_from(
            [
                "2026-07-01",
                "09:00:00",
                "1",
                "-2.50",
                "€1.00",
                "2026-07-01T10:00:00Z",
                "2026-07-01T10:00:00",
                "9999999999",
                "9999999999999999",
                "EUR",
                "sale",
                "0",
                "1e5",
                "Payment",
                "COMPLETED",
                "CANCELED",
                "2261-12-31",
                "1678-01-01",
                "23:59:60",
                "Madrid",
                "Asia/Tokyo",
            ]
        )
    )
    rows = data.draw(st.lists(st.fixed_dictionaries({name: cell for name in names}), min_size=1, max_size=4))

    formatted(contract, entity, *rows)


def lenient(entity: Entity) -> Entity:
    """The same contract without a single required column or list of allowed words."""
    return entity.model_copy(
        update={"columns": {n: v.model_copy(update={"required": False, "only": []}) for n, v in entity.columns.items()}}
    )


@pytest.mark.parametrize(("contract", "entity"), EACH, ids=[f"{c.source}-{e.entity}" for c, e in EACH])
def test_a_record_core_could_not_hold_is_rejected_however_lenient_the_contract(
    contract: Contract, entity: Entity
) -> None:
    empty = dict.fromkeys(sorted(entity.known_columns), "")

    result = formatted(contract, lenient(entity), empty)

    assert "missing" in reason(result) or "no amount" in reason(result)


def test_a_kind_core_does_not_know_is_rejected_however_lenient_the_contract() -> None:
    contract, entity = entity_of("inventory", "movements")

    result = formatted(contract, lenient(entity), MOVEMENT, {**MOVEMENT, "kind": "stolen"})

    assert list(result.rejects["position"]) == [2]
    assert "the kind is none of: opening" in result.rejects["reason"].iloc[0]
