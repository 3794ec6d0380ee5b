"""A person is taken out of a file of any wrapping; the records of others, and all places, stay."""

from __future__ import annotations

import csv
import gzip
import io
import json
from typing import Any

import openpyxl
import pytest

from transforms.contract import load_contracts
from transforms.documents import open_document
from transforms.personal import redact

CONTRACT = load_contracts()["coffee_chain"]
EMAIL = "quetzalina@canary-post.example"
HEADER = (
    "customer_id,home_store,customer_first-name,customer_email,customer_since,loyalty_card_number,birthdate,gender,"
    "birth_year\n"
)
PEOPLE = (
    '9,3,"Other, Otto",otto@shop.example,2026-01-01,X-1,1980-02-02,M,1980\n'
    f"7,3,Quetzalina,{EMAIL},2026-01-02,CARD-77001,1990-03-03,F,1990\n"
)
TITLES = 'Customers\n"of all stores,\nby number"\n\n'


def workbook(text: str) -> bytes:
    book = openpyxl.Workbook()
    for row in csv.reader(io.StringIO(text)):
        book.active.append(row)
    packed = io.BytesIO()
    book.save(packed)
    return packed.getvalue()


def records(content: bytes) -> dict[int, dict[str, Any]]:
    """Payloads by position."""
    chunks = open_document(io.BytesIO(content), CONTRACT, None, 100).chunks
    return {
        position: json.loads(payload)
        for chunk in chunks
        for position, payload in zip(chunk.positions, chunk.payloads, strict=True)
    }


@pytest.mark.parametrize(
    "content",
    [
        pytest.param((HEADER + PEOPLE).encode(), id="as is"),
        pytest.param((TITLES + HEADER + PEOPLE).encode(), id="titles above the header"),
        pytest.param(b"\xff\xfe" + (TITLES + HEADER + "\n" + PEOPLE).encode("utf-16-le"), id="UTF-16"),
        pytest.param(gzip.compress((HEADER + PEOPLE).encode()), id="gzip"),
        pytest.param(workbook(HEADER + PEOPLE), id="a workbook"),
        pytest.param(workbook(TITLES + HEADER + PEOPLE), id="a workbook with titles"),
    ],
)
def test_a_person_goes_and_everybody_else_stays(content: bytes) -> None:
    before = records(content)

    found = redact(content, CONTRACT, None, lambda _, record: record["customer_email"] == EMAIL)

    assert found is not None
    after = records(found.content)
    assert list(after) == list(before) == [1, 2]
    assert after[1] == before[1]
    assert {name: value for name, value in after[2].items() if value} == {"customer_id": "7"}
    assert {"Quetzalina", EMAIL, "CARD-77001"} <= found.found


def test_a_document_without_the_person_is_left_as_it_is() -> None:
    assert redact(workbook(HEADER + PEOPLE), CONTRACT, None, lambda _, record: False) is None
