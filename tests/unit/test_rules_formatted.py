"""Rules at work: what a contract's keys make of received rows, and that no amount is ever a float on its way."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from transforms.contract import Contract, Entity, find_contract, load_contracts
from transforms.documents import POSITION, open_document
from transforms.formatted import records
from transforms.formatted.records import ROWS, Formatted, format_records
from transforms.formatted.values import TEXT

COLUMNS: dict[str, Any] = {
    "receipt_number": {"from": "Receipt", "required": True},
    "sold_on": {"from": "Day", "type": "date", "required": True},
    "product_key": {"from": "Item", "fold": True},
    "product_name": {"from": "Item", "required": True},
    "quantity": {"from": "Qty", "type": "decimal"},
    "unit_price": {"from": "Price", "type": "money"},
    "gross_amount": {"from": "Gross", "type": "money"},
    "discount_amount": {"from": "Discount", "type": "money"},
    "net_amount": {"from": "Net", "type": "money"},
    "tax_amount": {"from": "Tax", "type": "money"},
    "tip_amount": {"from": "Tip", "type": "money"},
    "event": {"from": "Type", "default": "sale"},
    "payment_method": {"from": "Paid"},
    "currency_code": {"from": "Currency"},
}


def till(**keys: Any) -> tuple[Contract, Entity]:
    """A till in Madrid whose entity has these keys beside the usual columns (extra ones in `more`)."""
    columns = {**COLUMNS, **keys.pop("more", {})}
    entity = {"entity": "sale_lines", "kind": "sale_lines", "discount_sign": "positive", "columns": columns, **keys}
    contract = Contract.model_validate(
        {
            "source": "till", "title": "Till", "system": "pos", "owner": "Owner", "time_zone": "Europe/Madrid",
            "country": "ES", "currency_code": "EUR", "catalogue": "till", "entities": [entity],
        }
    )  # fmt: skip
    return contract, contract.entities[0]


def read(known: tuple[Contract, Entity], *rows: dict[str, str | None]) -> Formatted:
    contract, entity = known
    usual = {"Receipt": "R1", "Day": "2026-06-10", "Item": "Bun", "Qty": "1"}
    frame = pd.DataFrame([{POSITION: place, **usual, **row} for place, row in enumerate(rows, start=1)])
    return format_records(frame.astype({n: TEXT for n in frame if n != POSITION}), contract, entity)


def lines(result: Formatted, *names: str) -> list[Any]:
    assert result.rejects.empty, result.rejects.to_dict("records")
    cells = [[row[name] for name in names] for row in result.rows.to_pylist()]
    return [line[0] for line in cells] if len(names) == 1 else [tuple(line) for line in cells]


def money(*texts: str) -> list[Decimal]:
    return [Decimal(text) for text in texts]


# --- voids -------------------------------------------------------------------------------------------------


def test_a_cancelled_receipt_that_stays_in_the_file_counts_as_nothing() -> None:
    flag = {"column": "Status", "is": ["Cancelled"]}
    result = read(
        till(void_when=flag),
        {"Net": "3.00", "Tip": "1.00", "Status": "cancelled"},
        {"Net": "2.00", "Tip": "1.00", "Status": None},
        {"Receipt": "R2", "Net": "5.00", "Status": "Closed"},
    )

    assert lines(result, "receipt_number", "event", "net_amount", "reverses_receipt_number") == [
        ("R1", "voided", 3, None),
        ("R1", "voided", 2, None),
        ("R2", "sale", 5, None),
        ("R1#void", "void", -3, "R1"),
        ("R1#void", "void", -2, "R1"),
    ]


def test_a_flag_without_words_is_any_text() -> None:
    result = read(
        till(void_when={"column": "Cancelled at"}),
        {"Net": "3", "Cancelled at": "2026-06-11"},
        {"Receipt": "R2", "Net": "1"},
    )

    assert lines(result, "event") == ["voided", "sale", "void"]


def test_a_flag_that_is_not_in_the_file_is_not_set() -> None:
    assert lines(read(till(void_when={"column": "Void?", "is": ["true"]}), {"Net": "3"}), "event") == ["sale"]


def test_a_void_line_is_taken_back_in_its_own_receipt() -> None:
    flag = {"column": "Void?", "is": ["true"], "of": "line"}
    result = read(
        till(void_when=flag),
        {"Qty": "2", "Net": "6.00", "Void?": "TRUE", "Tip": "1.00"},
        {"Net": "3.00", "Void?": "false", "Tip": "1.00"},
        {"Receipt": "R2", "Net": "4.00", "Void?": "true"},
    )

    assert lines(result, "receipt_number", "event", "quantity", "net_amount", "tip_amount") == [
        ("R1", "sale", 2, 6, 1),
        ("R1", "sale", 1, 3, 1),
        ("R2", "voided", 1, 4, None),
        ("R1", "sale", -2, -6, None),
        ("R2#void", "void", -1, -4, None),
    ]


# --- refunds -----------------------------------------------------------------------------------------------


def test_a_refund_in_its_sale_s_receipt_gets_a_receipt_of_its_own_that_names_the_sale() -> None:
    known = till(
        refunds="same_receipt", more={"event": {"from": "Type", "default": "sale", "map": {"Refund": "refund"}}}
    )
    result = read(known, {"Net": "6.00"}, {"Net": "-3.00", "Qty": "-1", "Type": "Refund", "Day": "2026-07-02"})

    assert lines(result, "receipt_number", "event", "net_amount", "reverses_receipt_number") == [
        ("R1", "sale", 6, None),
        ("R1#refund-2026-07-02", "refund", -3, "R1"),
    ]


def test_a_refund_in_positive_numbers_is_turned() -> None:
    refund = {"Type": "refund", "Gross": "4.00", "Discount": "1.00", "Net": "3.00", "Tax": "0.30", "Tip": "0"}
    result = read(till(refunds="event", refund_amounts="positive"), {"Net": "6.00"}, {"Receipt": "R2", **refund})

    assert lines(result, "event", "quantity", "gross_amount", "discount_amount", "net_amount", "tax_amount")[1] == (
        "refund", -1, -4, -1, -3, Decimal("-0.30"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "row", "why"),
    [
        ({"refunds": "event"}, {"Type": "refund", "Net": "3.00"}, "a refund takes money back, and this adds"),
        ({"refunds": "event"}, {"Type": "theft", "Net": "3.00"}, "event: none of: sale, refund, void"),
        ({}, {"Gross": "7", "Discount": "-1", "Net": "6"}, "the discount's sign is not the contract's"),
        ({}, {"Net": "6", "Currency": "$"}, "currency_code: no ISO 4217 code and no sign that means one"),
        ({"tax_included": True}, {"Net": "1"}, "the tax is in the price, and neither its amount nor its rate is known"),
        ({"gift_card_when": {"column": "Item"}, "unknown_amounts": "keep"}, {}, "a gift card is sold at an amount"),
    ],
)
def test_what_a_rule_refuses_is_a_reject(keys: dict[str, Any], row: dict[str, str], why: str) -> None:
    assert list(read(till(**keys), row).rejects["reason"]) == [why]


# --- a receipt's own values --------------------------------------------------------------------------------


@pytest.mark.parametrize(("told", "second"), [("repeated", "1.00"), ("first_line", None), ("first_line", "0")])
def test_a_receipt_s_discount_is_spread_over_its_lines_to_the_cent(told: str, second: str | None) -> None:
    result = read(
        till(per_receipt={"discount_amount": told}),
        {"Gross": "3.00", "Discount": "1.00"},
        {"Gross": "3.00", "Discount": second},
        {"Gross": "3.00", "Discount": second},
        {"Receipt": "R2", "Gross": "5.00", "Discount": None},
    )

    assert lines(result, "discount_amount") == money("0.34", "0.33", "0.33", "0")
    assert lines(result, "net_amount") == money("2.66", "2.67", "2.67", "5")


def test_an_order_s_total_repeated_on_each_line_is_taken_once() -> None:
    result = read(
        till(per_receipt={"net_amount": "repeated", "tax_amount": "repeated", "tip_amount": "repeated"}),
        {"Qty": "2", "Price": "1.50", "Net": "9.00", "Tax": "0.91", "Tip": "2.00"},
        {"Qty": "1", "Price": "6.00", "Net": "9.00", "Tax": "0.91", "Tip": "2.00"},
    )

    assert lines(result, "net_amount", "tax_amount", "tip_amount", "unit_price") == [
        (3, Decimal("0.30"), 2, Decimal("1.5")),
        (6, Decimal("0.61"), 2, 6),
    ]


def test_an_order_s_words_on_its_first_line_are_those_of_all() -> None:
    known = till(
        per_receipt={"currency_code": "first_line", "tip_amount": "first_line", "payment_method": "first_line"}
    )
    result = read(
        known, {"Net": "1", "Currency": "GBP", "Tip": "2", "Paid": "card"}, {"Net": "2"}, {"Receipt": "R2", "Net": "3"}
    )

    assert lines(result, "currency_code", "tip_amount", "payment_method") == [
        ("GBP", 2, "card"),
        ("GBP", 2, "card"),
        ("EUR", None, None),
    ]


def test_lines_that_tell_two_totals_are_rejected_together_and_no_other() -> None:
    result = read(
        till(per_receipt={"net_amount": "repeated"}),
        {"Net": "9"},
        {"Net": "8"},
        {"Receipt": "R2", "Net": "5"},
    )

    assert set(result.rejects["reason"]) == {"net_amount: the lines of one receipt differ in it"}
    assert result.rows["receipt_number"].to_pylist() == ["R2"]


# --- tax, prices, gift cards -------------------------------------------------------------------------------


def test_tax_in_the_price_is_taken_out_and_the_sum_stays() -> None:
    known = till(tax_included=True, tax_rate="0.10")
    result = read(known, {"Gross": "2.00", "Discount": "1.00", "Net": "1.00"}, {"Net": "1.10", "Tax": "0.20"})

    assert lines(result, "gross_amount", "discount_amount", "net_amount", "tax_amount") == [
        tuple(money("1.82", "0.91", "0.91", "0.09")),
        tuple(money("0.90", "0", "0.90", "0.20")),
    ]
    assert result.profile["amount_received"] == {"rows": 2, "net_amount": "2.10"}  # what the file says


def test_a_rate_gives_the_tax_on_top_where_none_is_received() -> None:
    result = read(till(tax_rate=0.1), {"Net": "1.25"}, {"Net": "1.25", "Tax": "0"})

    assert lines(result, "net_amount", "tax_amount") == [tuple(money("1.25", "0.13")), tuple(money("1.25", "0"))]


def test_a_price_of_zero_and_an_open_item_stay_what_they_are() -> None:
    result = read(
        till(rebuild_amounts=True),
        {"Net": "0.00", "Price": "2"},
        {"Item": "Various", "Net": "4.20"},
        {"Qty": "3", "Net": "1"},
    )

    assert lines(result, "net_amount", "unit_price", "amount_origin") == [
        (0, 2, "received"),
        (Decimal("4.20"), Decimal("4.20"), "received"),
        (1, Decimal("0.3333"), "received"),
    ]


def test_a_gift_card_sold_is_no_revenue_and_one_that_pays_changes_nothing() -> None:
    known = till(gift_card_when={"column": "Item", "is": ["Gift Card"]}, tax_included=True, tax_rate="0.10")
    result = read(known, {"Item": "GIFT CARD", "Net": "25.00"}, {"Net": "1.10", "Paid": "gift card"})

    assert lines(result, "net_amount", "gross_amount", "tax_amount", "gift_card_amount") == [
        (0, 0, 0, 25),
        (1, 1, Decimal("0.10"), None),
    ]


# --- ids, products, units, people --------------------------------------------------------------------------


def test_ids_written_as_floats_are_whole_again_and_spoiled_ones_rejected() -> None:
    known = till(more={"receipt_number": {"from": ["Day", "Receipt"], "required": True, "whole": True}})
    result = read(
        known,
        {"Receipt": "150040.0", "Net": "1"},
        {"Receipt": "150040", "Net": "1"},
        {"Receipt": "1.5E+05", "Net": "1"},
    )

    assert result.rows["receipt_number"].to_pylist() == ["2026-06-10/150040"] * 2
    assert list(result.rejects["reason"]) == ["Receipt: an id written as a power of ten has lost its digits"]


def test_a_product_s_names_fold_to_one_key_and_keep_their_spelling() -> None:
    result = read(till(), {"Item": "matcha  latte", "Net": "1"}, {"Item": "Matcha Latte ", "Net": "1"})

    assert lines(result, "product_key", "product_name") == [
        ("matcha latte", "matcha latte"),
        ("matcha latte", "Matcha Latte"),
    ]


def test_a_delivery_in_grams_is_counted_in_kilograms_at_the_same_value() -> None:
    contract, entity = find_contract("inventory"), find_contract("inventory").entity_named("deliveries")
    row = {
        "id": "D1", "supplier_id": "S1", "location": "W-CENTRO", "delivered_at": "2026-07-01T06:00:00+02:00",
        "line.sku": "FLOUR", "line.quantity": "2500", "line.unit": "G", "line.unit_cost": "0.0012",
    }  # fmt: skip

    result = read((contract, entity.model_copy(update={"units": {"g": "kg"}})), row)

    assert lines(result, "unit", "quantity", "unit_cost") == [("kg", Decimal("2.5"), Decimal("1.2"))]


def test_a_contact_as_people_type_it() -> None:
    contact = {
        "id": "7", "properties.firstname": "ANA", "properties.lastname": " de  la CRUZ",
        "properties.phone": "0034 612-345-678", "properties.email": "Ana(at)Example.org ",
        "properties.loyalty_card": "pp 100007",
    }  # fmt: skip
    crm = find_contract("crm"), find_contract("crm").entities[0]

    result = read(crm, contact, {"id": "8", "properties.email": "ask her", "properties.phone": "600"})

    assert lines(result, "full_name", "email", "phone", "loyalty_card") == [
        ("Ana de la CRUZ", "ana@example.org", "+34612345678", "PP100007"),
        (None, None, None, None),
    ]
    assert result.rows["note"].to_pylist() == [
        None,
        "email: no e-mail address (ask her); phone: no phone number that can exist (600)",
    ]


def test_a_customer_beside_a_sale_goes_by_the_same_rules() -> None:
    known = till(more={"customer_email": {"from": "Mail"}, "customer_name": {"from": "Who"}, "note": {"from": "Notes"}})
    result = read(known, {"Net": "1", "Mail": "A@B.org", "Who": "JOSÉ"}, {"Net": "1", "Mail": "?", "Notes": "hot"})

    assert lines(result, "customer_email", "customer_name", "note") == [
        ("a@b.org", "José", None),
        (None, None, "hot; customer_email: no e-mail address (?)"),
    ]


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"more": {"product_key": {"from": ["SKU", "Token"]}}}, "it changes when the item is re-created"),
        ({"per_receipt": {"quantity": "repeated"}}, "per_receipt can't name quantity"),
        ({"per_receipt": {"note": "repeated"}}, "per_receipt can't name note"),
        ({"units": {"g": "l"}}, "no factor leads from g to l"),
        ({"tax_rate": "1.5"}, "less than 1"),
        ({"tax_rate": "0.12345"}, "4 decimal places"),
        ({"void_when": {"is": ["x"]}}, "column"),
    ],
)
def test_a_contract_whose_rules_can_t_work_is_refused(keys: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        till(**keys)


def test_tax_in_the_price_needs_a_rate_or_a_column() -> None:
    shop = find_contract("dirty_cafe").entities[0].model_dump(by_alias=True)

    with pytest.raises(ValidationError, match="tax_included needs tax_rate or a column tax_amount"):
        Entity.model_validate({**shop, "tax_included": True})


# --- no float ----------------------------------------------------------------------------------------------

EACH = [(contract, entity) for contract in load_contracts().values() for entity in contract.entities]
CELLS = st.none() | st.sampled_from(
    ["2026-07-01", "09:00:00", "1", "-2.50", "€1.00", "2026-07-01T10:00:00Z", "EUR", "sale", "0", "COMPLETED", "250"]
)


@pytest.fixture(scope="module")
def typed_frames() -> Iterator[list[pd.DataFrame]]:
    """Every frame of typed columns that is about to become rows."""
    seen: list[pd.DataFrame] = []
    make_table = records._table

    def watched(rows: pd.DataFrame, schema: Any) -> Any:
        seen.append(rows)
        return make_table(rows, schema)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "_table", watched)
        yield seen


@pytest.mark.parametrize(("contract", "entity"), EACH, ids=[f"{c.source}-{e.entity}" for c, e in EACH])
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_no_formatted_column_of_any_contract_is_a_float(
    typed_frames: list[pd.DataFrame], contract: Contract, entity: Entity, data: st.DataObject
) -> None:
    rows = data.draw(
        st.lists(st.fixed_dictionaries(dict.fromkeys(sorted(entity.known_columns), CELLS)), min_size=1, max_size=3)
    )
    typed_frames.clear()

    read((contract, entity), *rows)

    assert typed_frames
    for frame in typed_frames:
        assert [name for name in frame if "float" in str(frame[name].dtype) or "double" in str(frame[name].dtype)] == []
        numbers = [field.name for field in ROWS[entity.kind] if "decimal" in str(field.type) and field.name in frame]
        assert [name for name in numbers if not str(frame[name].dtype).startswith("decimal128")] == []


exactly = settings(max_examples=40, deadline=None)
AMOUNTS = st.decimals(Decimal("-9999999999.99"), Decimal("9999999999.99"), places=2)


@exactly
@given(amounts=st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=1, max_size=4))
def test_amounts_of_a_file_arrive_as_they_were_written(amounts: list[tuple[Decimal, Decimal]]) -> None:
    contract = find_contract("square_items")
    head = "Date,Time,Item,Qty,Gross Sales,Net Sales,Tax,Transaction ID,Event Type\n"
    body = "".join(
        f'2026-07-01,09:00:00,Bun,1.0,"{_dollars(net)}","{_dollars(net)}","{_dollars(tax)}",R{n},Payment\n'
        for n, (net, tax) in enumerate(amounts)
    )

    opened = open_document(io.BytesIO((head + body).encode()), contract, None, 100)
    rows = [r for chunk in opened.chunks for r in format_records(chunk.frame, contract, opened.entity).rows.to_pylist()]

    assert [(row["net_amount"], row["gross_amount"], row["tax_amount"]) for row in rows] == [
        (n, n, t) for n, t in amounts
    ]


def _dollars(amount: Decimal) -> str:
    return f"{'-' if amount < 0 else ''}${abs(amount):,.2f}"


@exactly
@given(cents=st.lists(st.integers(-(10**10) + 1, 10**10 - 1), min_size=1, max_size=4))
def test_cents_of_a_response_arrive_as_they_were_sent(cents: list[int]) -> None:
    contract = find_contract("pos_api")
    items = [
        {"name": "Bun", "quantity": "1", "gross_sales_money": {"amount": c}, "total_money": {"currency": "EUR"}}
        for c in cents
    ]
    order = {
        "id": "O1",
        "state": "COMPLETED",
        "created_at": "2026-07-01T10:00:00Z",
        "location_id": "L-DELIVERY",
        "line_items": items,
    }

    opened = open_document(io.BytesIO(json.dumps({"orders": [order]}).encode()), contract, "orders", 100)
    [chunk] = opened.chunks
    rows = format_records(chunk.frame, contract, opened.entity).rows

    assert rows["net_amount"].to_pylist() == [Decimal(c).scaleb(-2) for c in cents]


@exactly
@given(costs=st.lists(st.decimals(Decimal(0), Decimal("999999"), places=4), min_size=1, max_size=4))
def test_json_numbers_never_become_floats(costs: list[Decimal]) -> None:
    contract = find_contract("inventory")
    moves = ",".join(
        f'{{"movement_id": "M{n}", "sku": "F", "location_id": "W-NORTE", "kind": "use", "quantity": -1.5, '
        f'"unit_cost": {cost:f}, "moved_at": "2026-07-01T01:30:00+0200", '
        f'"last_modified_time": "2026-07-01T02:00:00+0200"}}'
        for n, cost in enumerate(costs)
    )

    opened = open_document(io.BytesIO(f'{{"movements": [{moves}]}}'.encode()), contract, "movements", 100)
    [chunk] = opened.chunks
    rows = format_records(chunk.frame, contract, opened.entity).rows

    assert rows["unit_cost"].to_pylist() == costs


# --- both nights of the clock ------------------------------------------------------------------------------

MADRID, NEW_YORK = "Europe/Madrid", "America/New_York"
# zone, moment in UTC, day when the shop closes at midnight, day when it closes at four
MOMENTS = [
    (MADRID, "2026-10-24T21:59:59Z", "2026-10-24", "2026-10-24"),
    (MADRID, "2026-10-24T22:00:00Z", "2026-10-25", "2026-10-24"),
    (MADRID, "2026-10-25T00:30:00Z", "2026-10-25", "2026-10-24"),  # 02:30 for the first time
    (MADRID, "2026-10-25T01:30:00Z", "2026-10-25", "2026-10-24"),  # 02:30 for the second
    (MADRID, "2026-10-25T02:59:59Z", "2026-10-25", "2026-10-24"),
    (MADRID, "2026-10-25T03:00:00Z", "2026-10-25", "2026-10-25"),  # four o'clock, five hours after midnight
    (MADRID, "2026-03-28T22:59:59Z", "2026-03-28", "2026-03-28"),
    (MADRID, "2026-03-28T23:00:00Z", "2026-03-29", "2026-03-28"),
    (MADRID, "2026-03-29T00:59:59Z", "2026-03-29", "2026-03-28"),  # 01:59:59, a second before three
    (MADRID, "2026-03-29T01:00:00Z", "2026-03-29", "2026-03-28"),
    (MADRID, "2026-03-29T01:59:59Z", "2026-03-29", "2026-03-28"),
    (MADRID, "2026-03-29T02:00:00Z", "2026-03-29", "2026-03-29"),  # four o'clock, three hours after midnight
    (NEW_YORK, "2026-11-01T03:59:59Z", "2026-10-31", "2026-10-31"),
    (NEW_YORK, "2026-11-01T04:00:00Z", "2026-11-01", "2026-10-31"),
    (NEW_YORK, "2026-11-01T05:30:00Z", "2026-11-01", "2026-10-31"),  # 01:30 for the first time
    (NEW_YORK, "2026-11-01T06:30:00Z", "2026-11-01", "2026-10-31"),  # 01:30 for the second
    (NEW_YORK, "2026-11-01T08:59:59Z", "2026-11-01", "2026-10-31"),
    (NEW_YORK, "2026-11-01T09:00:00Z", "2026-11-01", "2026-11-01"),
    (NEW_YORK, "2026-03-08T04:59:59Z", "2026-03-07", "2026-03-07"),
    (NEW_YORK, "2026-03-08T05:00:00Z", "2026-03-08", "2026-03-07"),
    (NEW_YORK, "2026-03-08T06:59:59Z", "2026-03-08", "2026-03-07"),
    (NEW_YORK, "2026-03-08T07:59:59Z", "2026-03-08", "2026-03-07"),
    (NEW_YORK, "2026-03-08T08:00:00Z", "2026-03-08", "2026-03-08"),
]
# zone, time on the wall, the moment it means, the same two days
CLOCKS = [
    (MADRID, "2026-10-25 02:30:00", "2026-10-25T00:30:00", "2026-10-25", "2026-10-24"),  # twice: the first is meant
    (MADRID, "2026-10-25 03:59:59", "2026-10-25T02:59:59", "2026-10-25", "2026-10-24"),
    (MADRID, "2026-10-25 04:00:00", "2026-10-25T03:00:00", "2026-10-25", "2026-10-25"),
    (MADRID, "2026-03-29 02:30:00", "2026-03-29T01:00:00", "2026-03-29", "2026-03-28"),  # never: its end is meant
    (MADRID, "2026-03-29 04:00:00", "2026-03-29T02:00:00", "2026-03-29", "2026-03-29"),
    (NEW_YORK, "2026-11-01 01:30:00", "2026-11-01T05:30:00", "2026-11-01", "2026-10-31"),
    (NEW_YORK, "2026-11-01 04:00:00", "2026-11-01T09:00:00", "2026-11-01", "2026-11-01"),
    (NEW_YORK, "2026-03-08 02:30:00", "2026-03-08T07:00:00", "2026-03-08", "2026-03-07"),
    (NEW_YORK, "2026-03-08 04:00:00", "2026-03-08T08:00:00", "2026-03-08", "2026-03-08"),
]


def shop(zone: str, closing: str, form: str | None) -> tuple[Contract, Entity]:
    sold_at = {"from": "Sold", "type": "timestamp", **({"format": form} if form else {})}
    contract, entity = till(more={"sold_at": sold_at})
    columns = {name: value for name, value in entity.columns.items() if name != "sold_on"}
    changed = {"time_zone": zone, "closing_time": time.fromisoformat(closing)}
    return contract.model_copy(update=changed), entity.model_copy(update={"columns": columns})


@pytest.mark.parametrize(("closing", "place"), [("00:00", 2), ("04:00", 3)])
@pytest.mark.parametrize("row", MOMENTS, ids=lambda row: f"{row[0].rpartition('/')[2]} {row[1]}")
def test_a_moment_of_a_clock_change_night_counts_for_its_business_day(
    row: tuple[str, str, str, str], closing: str, place: int
) -> None:
    [(day, moment)] = lines(read(shop(row[0], closing, None), {"Sold": row[1], "Net": "1"}), "business_date", "sold_at")

    assert day == date.fromisoformat(row[place])
    assert moment.isoformat() == row[1].replace("Z", "+00:00")


@pytest.mark.parametrize(("closing", "place"), [("00:00", 3), ("04:00", 4)])
@pytest.mark.parametrize("row", CLOCKS, ids=lambda row: f"{row[0].rpartition('/')[2]} {row[1]}")
def test_a_clock_time_of_a_clock_change_night_counts_for_its_business_day(
    row: tuple[str, str, str, str, str], closing: str, place: int
) -> None:
    known = shop(row[0], closing, "%Y-%m-%d %H:%M:%S")
    [(day, moment)] = lines(read(known, {"Sold": row[1], "Net": "1"}), "business_date", "sold_at")

    assert day == date.fromisoformat(row[place])
    assert moment.isoformat() == f"{row[2]}+00:00"


# --- the figures the first issue named ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "files", "rows", "net", "tax"),
    [
        ("square_items", "square_items/*.csv", 1891, "14333.42", "1106.56"),
        ("coffee_chain", "coffee_3stores_2019/201904_sales_reciepts.csv.gz", 49_894, "233635.95", None),
        ("dirty_cafe", "dirty_cafe/*.csv", 9501, "84786.50", None),
        ("bread_basket", "bread_basket/*.csv", 20_507, None, None),
    ],
)
def test_figures_of_the_shared_files_stay(
    shared_data: Path, source: str, files: str, rows: int, net: str | None, tax: str | None
) -> None:
    contract = find_contract(source)
    found: list[dict[str, Any]] = []
    for file in sorted(shared_data.glob(files)):
        opened = open_document(io.BytesIO(file.read_bytes()), contract, None, 25_000)
        for chunk in opened.chunks:
            table = format_records(chunk.frame, contract, opened.entity).rows
            found += table.select(["net_amount", "tax_amount"]).to_pylist()

    nets = [row["net_amount"] for row in found if row["net_amount"] is not None]
    taxes = [row["tax_amount"] for row in found if row["tax_amount"] is not None]
    assert len(found) == rows
    assert (sum(nets) if nets else None) == (Decimal(net) if net else None)
    assert (sum(taxes) if taxes else None) == (Decimal(tax) if tax else None)
