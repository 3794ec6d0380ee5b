"""What is shown of a record to those who may not know whom it is about."""

from __future__ import annotations

from typing import Any

import pytest

from db.pii import load_catalogue, masked, masked_column
from panpan.errors import SettingsError
from transforms.contract import COLUMNS
from transforms.masking import mask_payload, mask_value


def test_every_column_a_contract_can_fill_is_classified() -> None:
    names = {name for columns in COLUMNS.values() for name in columns}

    assert [name for name in sorted(names) if load_catalogue().class_of("contract", "", name) is None] == []


KEPT = "{none: null, indirect: null, direct: 30, secret: null}"


@pytest.mark.parametrize(
    ("columns", "kept", "cause"),
    [
        ("{none: [email], direct: [email]}", KEPT, "classified twice: email"),
        ("{none: []}", KEPT.replace("indirect: null", "indirect: 30"), "retention.indirect"),  # figures stand on ids
        ("{none: []}", KEPT.replace("30", "0"), "retention.direct"),
        ("{none: []}", "{none: null}", "retention.direct"),
    ],
)
def test_a_catalogue_that_could_not_be_kept_to_is_refused(tmp_path: Any, columns: str, kept: str, cause: str) -> None:
    file = tmp_path / "pii.yaml"
    file.write_text(f"masks: {{}}\ntables: {{}}\ncolumns: {columns}\nretention: {kept}\n", encoding="utf-8")

    with pytest.raises(SettingsError) as caught:
        load_catalogue(file)

    assert cause in str(caught.value.cause)


@pytest.mark.parametrize(
    ("mask", "value", "shown"),
    [
        ("name", "Ana María López", "A. M. L."),
        ("name", "Zoë", "Z."),
        ("email", "ana@example.org", "a***@***"),
        ("email", "no address", "***@***"),
        ("digits", "+34600111222", "***22"),
        ("digits", "1234", "***"),  # two of four signs would be half of it
        ("hidden", "anything", "***"),
        ("hidden", None, None),
    ],
)
def test_masks(mask: Any, value: str | None, shown: str | None) -> None:
    assert masked(value, mask) == shown


def test_a_value_is_shown_by_the_class_of_its_column() -> None:
    assert masked_column("net_amount", "12.50") == "12.50"
    assert masked_column("email", "ana@example.org") == "a***@***"
    assert masked_column("never heard of", "ana") == "***"
    assert masked_column(None, "ana") == "***"


def test_a_contact_is_masked_by_its_contract_and_what_no_contract_reads_is_hidden() -> None:
    contact = {
        "id": "17",
        "createdAt": "2026-01-02",
        "archived": False,
        "properties": {"firstname": "Ana", "email": "ana@example.org", "phone": None, "zip": "28001", "hobby": "chess"},
    }

    assert mask_payload("crm", "contacts", contact) == {
        "id": "17",
        "createdAt": "2026-01-02",
        "archived": False,
        "properties": {"firstname": "A.", "email": "a***@***", "phone": None, "zip": "28001", "hobby": "***"},
    }


def test_an_order_keeps_its_amounts_and_hides_whom_the_courier_rings() -> None:
    order = {
        "id": "O-1",
        "line_items": [{"name": "Baguette", "quantity": "2", "note": "for Ana"}],
        "fulfillments": [
            {
                "delivery_details": {
                    "recipient": {
                        "display_name": "Ana López",
                        "email_address": "ana@example.org",
                        "phone_number": "+34600111222",
                        "address": {"postal_code": "28001", "address_line_1": "Calle Mayor 5"},
                    }
                }
            }
        ],
    }

    shown = mask_payload("pos_api", "orders", order)

    assert shown["line_items"] == [{"name": "Baguette", "quantity": "2", "note": "***"}]
    assert shown["fulfillments"][0]["delivery_details"]["recipient"] == {
        "display_name": "A. L.",
        "email_address": "a***@***",
        "phone_number": "***22",
        "address": {"postal_code": "28001", "address_line_1": "***"},
    }


def test_one_value_by_its_typed_or_received_name() -> None:
    assert mask_value("crm", "contacts", "email", "ana@example.org") == "a***@***"
    assert mask_value("crm", "contacts", "properties.phone", "+34600111222") == "***22"
    assert mask_value("coffee_chain", "customers", "birthdate", "1990-01-01") == "***"
    assert mask_value("dirty_cafe", "sale_lines", "quantity", "UNKNOWN") == "UNKNOWN"
    assert mask_value("dirty_cafe", "sale_lines", None, "UNKNOWN") == "***"
