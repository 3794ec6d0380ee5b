"""What of a value tells persons apart: spellings that mean the same, texts that tell nothing, masks."""

from __future__ import annotations

import pytest

from transforms.matching.explain import mask
from transforms.matching.keys import card_key, email_key, name_key, phone_key, postcode_key, region_of_zone


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("ana.ruiz@mail.example", "ana.ruiz@mail.example"),
        (" ANA.Ruiz@Mail.Example ", "ana.ruiz@mail.example"),
        ("ana .ruiz@mail.example", "ana.ruiz@mail.example"),
        ("ana.ruiz(at)mail.example", "ana.ruiz@mail.example"),
        ("ana.ruiz", None),
        ("@mail.example", None),
        ("ana@mail", None),
        ("ana@mail.example, bea@mail.example", None),
    ],
)
def test_email(text: str, key: str | None) -> None:
    assert email_key(text) == key


@pytest.mark.parametrize(
    ("text", "region", "key"),
    [
        ("+34642048475", "ES", "+34642048475"),
        ("642 04 84 75", "ES", "+34642048475"),
        ("0034 642-048-475", "ES", "+34642048475"),
        ("(+34) 642.048.475", "ES", "+34642048475"),
        ("642 048 475 (mañanas)", "ES", "+34642048475"),
        ("+1 212 555 2368", "ES", "+12125552368"),
        ("642048475", "", None),
        ("12", "ES", None),
        ("ask Ana", "ES", None),
    ],
)
def test_phone(text: str, region: str, key: str | None) -> None:
    assert phone_key(text, region) == key


@pytest.mark.parametrize(
    ("text", "key"), [("pp-104 298", "PP104298"), ("PP104298", "PP104298"), ("n/a", None), ("---", None)]
)
def test_loyalty_card(text: str, key: str | None) -> None:
    assert card_key(text) == key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("María  O\u2019Connor", "maria o connor"),
        ("MARIA O'CONNOR", "maria o connor"),
        ("Müller", "muller"),
        ("Mu\u0308ller", "muller"),
        ("...", None),
    ],
)
def test_name(text: str, key: str | None) -> None:
    assert name_key(text) == key


def test_postcode() -> None:
    assert [postcode_key(text) for text in ("sw1a 1aa", "08001", "-")] == ["SW1A1AA", "08001", None]


def test_country_of_phone_numbers_without_country_code() -> None:
    assert [region_of_zone(zone) for zone in ("Europe/Madrid", "America/New_York", "UTC")] == ["ES", "US", ""]


@pytest.mark.parametrize(
    ("attribute", "value", "shown"),
    [
        ("email", "maria@hotmail.example", "m***@hotmail.example"),
        ("email", "no address", "***ess"),
        ("phone", "+34642048475", "***475"),
        ("phone", "12", "***"),
        ("loyalty_card", "PP-104298", "***298"),
        ("postal_code", "08001", "***"),
        ("full_name", "María de la Fuente", "M*** d*** l*** F***"),
        ("merged_customer", "20000074042", "20000074042"),
    ],
)
def test_mask_shows_enough_to_recognise_and_no_more(attribute: str, value: str, shown: str) -> None:
    assert mask(attribute, value) == shown
