"""Documents as they come: read to the last cell, or refused as a whole with one sentence; never a traceback."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from datetime import date
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panpan.errors import DocumentRefused
from transforms.contract import Contract, Drift
from transforms.documents import HEADER_ROWS, POSITION, Chunk, flatten, open_document

HEADER = "Receipt,Day,Item,Price,Note"
ROWS = (
    "1,2026-07-01,Flat white,$4.50,hot",
    '2,2026-07-01,"Bun, ""old"" style",$3.00,"two\nlines"',
    "3,2026-07-02,Té,$2.00,",
)
FILE = "\n".join([HEADER, *ROWS, ""])


def contract(*, drift: Drift = "evolve", **entity: Any) -> Contract:
    """A till's CSV of five columns, an API's orders as JSON, and deliveries as XML."""
    sale_line = {
        "entity": "sale_lines",
        "kind": "sale_lines",
        "recognised_by": ["Receipt", "Item", "Price"],
        "record_id": ["Receipt", "Day"],
        "unknown_columns": drift,
        "ignored": ["Note"],
        "columns": {
            "receipt_number": {"from": "Receipt", "required": True},
            "sold_on": {"from": "Day", "type": "date", "required": True},
            "product_name": {"from": "Item", "required": True},
            "net_amount": {"from": "Price", "type": "money"},
        },
        **entity,
    }
    orders = {
        "entity": "orders",
        "kind": "sale_lines",
        "format": "json",
        "records": "orders",
        "explode": "items",
        "returns": "returns",
        "record_id": ["id"],
        "columns": {
            "receipt_number": {"from": "id", "required": True},
            "sold_at": {"from": "at", "type": "timestamp"},
            "product_name": {"from": "items.name", "required": True},
        },
    }
    items = {
        "entity": "items",
        "kind": "products",
        "format": "json",
        "records": "items",
        "columns": {
            "product_key": {"from": "sku", "required": True},
            "product_name": {"from": "sku", "required": True},
        },
    }
    deliveries = {
        "entity": "deliveries",
        "kind": "deliveries",
        "format": "xml",
        "records": "delivery",
        "explode": "line",
        "record_id": ["id"],
        "columns": {
            "delivery": {"from": "id", "required": True},
            "supplier": {"from": "supplier"},
            "delivered_at": {"from": "at", "type": "timestamp"},
            "product_key": {"from": "line.sku", "required": True},
            "quantity": {"from": "line.n", "type": "decimal"},
        },
    }
    return Contract.model_validate(
        {
            "source": "till",
            "title": "Till",
            "system": "pos",
            "owner": "nobody",
            "time_zone": "Europe/Madrid",
            "currency_code": "EUR",
            "catalogue": "till",
            "entities": [sale_line, orders, items, deliveries],
        }
    )


def read(
    content: bytes | str, known: Contract | None = None, entity: str | None = None, chunk_rows: int = 100
) -> tuple[list[Chunk], list[str]]:
    """All chunks of a document and its unknown columns."""
    stream = io.BytesIO(content.encode() if isinstance(content, str) else content)
    opened = open_document(stream, known or contract(), entity, chunk_rows)
    return list(opened.chunks), opened.unknown_columns


def records(content: bytes | str, known: Contract | None = None, entity: str | None = None) -> list[dict[str, Any]]:
    """The payloads of a document's records."""
    chunks, _ = read(content, known, entity)
    return [json.loads(payload) for chunk in chunks for payload in chunk.payloads]


def rows(content: bytes | str, known: Contract | None = None, entity: str | None = None) -> list[dict[str, Any]]:
    """The rows of a document's frames, null as None."""
    chunks, _ = read(content, known, entity)
    return [
        dict(row)
        for chunk in chunks
        for row in chunk.frame.astype(object).where(chunk.frame.notna(), None).to_dict("records")
    ]


def refusal(content: bytes | str, known: Contract | None = None, entity: str | None = None) -> str:
    """The one sentence a document is refused with."""
    with pytest.raises(DocumentRefused) as caught:
        read(content, known, entity)
    sentence = caught.value.message
    assert "\n" not in sentence
    assert len(sentence) < 500
    return sentence


# --- what is read ------------------------------------------------------------------------------------------


def test_every_cell_is_kept_as_received() -> None:
    found = records(FILE)

    assert found == [
        {"Receipt": "1", "Day": "2026-07-01", "Item": "Flat white", "Price": "$4.50", "Note": "hot"},
        {"Receipt": "2", "Day": "2026-07-01", "Item": 'Bun, "old" style', "Price": "$3.00", "Note": "two\nlines"},
        {"Receipt": "3", "Day": "2026-07-02", "Item": "Té", "Price": "$2.00", "Note": ""},
    ]


def test_records_are_numbered_from_1_and_named_by_the_source() -> None:
    (chunk,), unknown = read(FILE)

    assert chunk.positions == [1, 2, 3]
    assert chunk.record_ids == ["1/2026-07-01", "2/2026-07-01", "3/2026-07-02"]
    assert list(chunk.frame[POSITION]) == [1, 2, 3]
    assert unknown == []


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(FILE.encode(), id="as is"),
        pytest.param(FILE.removesuffix("\n").encode(), id="no line end at the end"),
        pytest.param(FILE.replace("\n", "\r\n").replace("two\r\n", "two\n").encode(), id="CRLF"),
        pytest.param(b"\xef\xbb\xbf" + FILE.encode(), id="UTF-8 with its mark"),
        pytest.param(b"\xff\xfe" + FILE.encode("utf-16-le"), id="UTF-16 LE"),
        pytest.param(b"\xfe\xff" + FILE.encode("utf-16-be"), id="UTF-16 BE"),
        pytest.param(gzip.compress(FILE.encode()), id="gzip"),
        pytest.param(gzip.compress(FILE.encode()[:50]) + gzip.compress(FILE.encode()[50:]), id="gzip in two parts"),
        pytest.param(gzip.compress(b"\xff\xfe" + FILE.encode("utf-16-le")), id="gzip of UTF-16"),
        pytest.param(FILE.replace("\n2,", "\n\n2,").encode(), id="an empty line between"),
    ],
)
def test_the_same_rows_in_another_wrapping_are_the_same_records(content: bytes) -> None:
    assert records(content) == records(FILE)


def test_an_older_windows_file_is_read_when_the_contract_names_its_encoding() -> None:
    content = FILE.replace("hot", "caf\u2019\u00e9 5 €").encode("cp1252")

    found = records(content, contract(encodings=["utf-8", "cp1252"]))

    assert [row["Note"] for row in found] == ["caf\u2019\u00e9 5 €", "two\nlines", ""]
    assert [row["Item"] for row in found][2] == "Té"


def test_an_older_windows_file_is_recognised_by_a_letter_far_behind_its_beginning() -> None:
    plain = "".join(f"{n},2026-07-01,Flat white,$4.50,hot\n" for n in range(9000))
    content = f"{HEADER}\n{plain}9001,2026-07-01,Té,$2.00,\n".encode("cp1252")

    found = records(content, contract(encodings=["utf-8", "cp1252"]))

    assert len(content) > 300_000
    assert found[-1]["Item"] == "Té"


def test_a_file_of_two_encodings_is_refused_rather_than_garbled() -> None:
    content = "\n".join([HEADER, *ROWS, ""]).encode() + "4,2026-07-02,Té,$2.00,\n".encode("cp1252")

    assert "not utf-8 throughout" in refusal(content, contract(encodings=["utf-8", "cp1252"]))


def test_another_delimiter_is_read_by_the_contract() -> None:
    content = "Receipt;Day;Item;Price;Note\n1;2026-07-01;Bun, plain;$4,50;\n"

    assert records(content, contract(delimiter=";"))[0]["Item"] == "Bun, plain"


def test_a_header_over_two_lines_is_read_whole() -> None:
    content = FILE.replace("Note", '"Note\nof till"')

    found, unknown = read(content)

    assert unknown == ["Note\nof till"]
    assert found[0].positions == [1, 2, 3]
    assert json.loads(found[0].payloads[0])["Note\nof till"] == "hot"


@pytest.mark.parametrize(
    "above",
    [
        pytest.param("Till 3\n", id="a title"),
        pytest.param('"Till 3, ""North"",\nall shifts"\n\n2026-07-01 to 2026-07-02\n\n', id="quoted, over two lines"),
        pytest.param("Till 3,,,,\n,,,,\nfrom,2026-07-01,to,2026-07-02,\n", id="filled up with cells"),
        pytest.param("\n" * (HEADER_ROWS - 1), id="as many lines as are looked at"),
    ],
)
def test_what_stands_above_the_header_moves_no_record(above: str) -> None:
    for content in (above + FILE, b"\xff\xfe" + (above + FILE).encode("utf-16-le")):
        found, _ = read(content)

        assert found[0].positions == [1, 2, 3]
        assert records(content) == records(FILE)


def test_a_header_too_far_down_is_none() -> None:
    assert "is of no layout" in refusal("Till 3\n" * HEADER_ROWS + FILE)


def test_rows_without_anything_are_no_records_and_leave_the_others_their_place() -> None:
    header, first, *rest = FILE.splitlines(keepends=True)

    (chunk,), _ = read("".join([header, ",,,,\n", first, ",,,,\n", ",,,,\n", *rest, ",,,x,\n", ",,,,\n"]))

    assert chunk.positions == [2, 5, 6, 7]
    assert list(chunk.frame[POSITION]) == [2, 5, 6, 7]
    assert [json.loads(payload)["Price"] for payload in chunk.payloads] == ["$4.50", "$3.00", "$2.00", "x"]


def test_a_header_named_position_is_a_column_like_any_other() -> None:
    content = FILE.replace("Note", "position")

    (chunk,), _ = read(content)

    assert list(chunk.frame["position"]) == ["hot", "two\nlines", ""]
    assert list(chunk.frame[POSITION]) == [1, 2, 3]


def test_a_header_with_our_own_mark_does_not_take_its_place() -> None:
    content = FILE.replace("Note", POSITION)

    (chunk,), _ = read(content)

    assert list(chunk.frame[POSITION]) == [1, 2, 3]
    assert json.loads(chunk.payloads[0])["#5 #position"] == "hot"


def test_unnamed_and_repeated_columns_are_told_apart_by_their_place() -> None:
    content = "Receipt,Day,Item,Price,Note,Note,,\n1,2026-07-01,Bun,$1.00,a,b,c,d\n"

    (row,) = records(content)

    assert row == {
        "Receipt": "1",
        "Day": "2026-07-01",
        "Item": "Bun",
        "Price": "$1.00",
        "Note": "a",
        "#6 Note": "b",
        "#7": "c",
        "#8": "d",
    }


def test_blanks_around_header_names_do_not_count() -> None:
    assert records(FILE.replace("Item,", " Item ,"))[0]["Item"] == "Flat white"


@pytest.mark.parametrize("content", [HEADER, HEADER + "\n", HEADER + "\r\n", "\ufeff" + HEADER + "\n"])
def test_a_header_alone_is_a_day_without_sales(content: str) -> None:
    assert records(content) == []


def test_chunks_follow_one_another_without_gap() -> None:
    content = HEADER + "\n" + "".join(f"{n},2026-07-01,{'x' * 2000},$1.00,\n" for n in range(1, 12_001))

    chunks, _ = read(content, chunk_rows=1000)

    assert len(chunks) > 1
    assert [p for chunk in chunks for p in chunk.positions] == list(range(1, 12_001))
    assert [json.loads(p)["Receipt"] for chunk in chunks for p in chunk.payloads] == [str(n) for n in range(1, 12_001)]


# --- columns nobody knows ----------------------------------------------------------------------------------

WIDER = (
    FILE.replace("Item,Price", "Item,Table,Price")
    .replace("white,", "white,7,")
    .replace('style",', 'style",,')
    .replace("Té,", "Té,8,")
)


@pytest.mark.parametrize("drift", ["evolve", "discard_row", "discard_value"])
def test_an_unknown_column_in_the_middle_moves_no_other_cell(drift: Drift) -> None:
    chunks, unknown = read(WIDER, contract(drift=drift))

    assert unknown == ["Table"]
    assert [json.loads(payload)["Price"] for payload in chunks[0].payloads] == ["$4.50", "$3.00", "$2.00"]
    assert [json.loads(payload)["Table"] for payload in chunks[0].payloads] == ["7", "", "8"]


def test_an_unknown_column_refuses_the_file_where_the_contract_says_freeze() -> None:
    assert refusal(WIDER, contract(drift="freeze")) == "column Table is unknown, and the contract says freeze"


# --- what is refused ---------------------------------------------------------------------------------------


def test_a_workbook_gives_the_records_its_csv_would_give() -> None:
    book = openpyxl.Workbook()
    for row in (
        [*HEADER.split(",")],
        ["1", date(2026, 7, 1), "Té", 4.5, "hot"],
        ["2", date(2026, 7, 2), "Bun", 3, None],
    ):
        book.active.append(row)
    packed = io.BytesIO()
    book.save(packed)

    found = records(packed.getvalue())

    assert found == records(f"{HEADER}\n1,2026-07-01,Té,4.5,hot\n2,2026-07-02,Bun,3,\n")
    assert records(packed.getvalue(), contract(decimal_mark=",", delimiter=";"))[0]["Price"] == "4,5"


def test_a_workbook_of_a_source_that_writes_in_several_ways_is_refused() -> None:
    known = contract()
    other = known.entities[0].model_copy(update={"entity": "others", "delimiter": ";"})
    both = known.model_copy(update={"entities": (*known.entities, other)})
    book = io.BytesIO()
    openpyxl.Workbook().save(book)

    with pytest.raises(DocumentRefused, match="several ways"):
        read(book.getvalue(), both)


def workbook() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(b"", "empty", id="empty"),
        pytest.param(gzip.compress(b""), "empty", id="gzip of nothing"),
        pytest.param(b"\n\n", "is of no layout", id="empty lines"),
        pytest.param(b"\xef\xbb\xbf", "is of no layout", id="a mark alone"),
        pytest.param(FILE.encode()[:-10], "cut off", id="cut off in a row"),
        pytest.param(FILE.encode()[: FILE.encode().index(b"style")], "cut off", id="cut off in a quoted cell"),
        pytest.param(
            FILE.encode()[: FILE.encode().index(b"two") + 2], "cut off", id="cut off in the last, quoted cell"
        ),
        pytest.param(FILE.encode()[: FILE.encode().index("é".encode()) + 1], "not utf-8", id="cut off in a letter"),
        pytest.param(b"\xff\xfe" + FILE.encode("utf-16-le")[:-1], "not utf-16-le", id="UTF-16 cut off in a letter"),
        pytest.param(FILE.encode("utf-16-le"), "zero bytes", id="UTF-16 without mark"),
        pytest.param(FILE.replace("é", "x").replace("hot", "h\x00t").encode(), "zero bytes", id="a zero byte"),
        pytest.param(FILE.encode("cp1252"), "cp1252", id="an older Windows file without leave"),
        pytest.param(b"<!DOCTYPE html><html><body>Log in</body></html>", "web page", id="HTML"),
        pytest.param(b"\n  <HTML>\n", "web page", id="HTML in capitals"),
        pytest.param(workbook(), "Excel workbook", id="xlsx"),
        pytest.param(b"\xd0\xcf\x11\xe0" + b"\x00" * 500, "Excel workbook", id="xls"),
        pytest.param(b"%PDF-1.7\n%\xe2\xe3", "PDF", id="PDF"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "picture", id="picture"),
        pytest.param(bytes(range(256)) * 10, "zero bytes", id="binary"),
        pytest.param(b"Date,Total\n2026-07-01,3\n", "no layout", id="another layout"),
        pytest.param(FILE.replace("Day", "Tag").encode(), "column Day is missing", id="a required column missing"),
        pytest.param(FILE.encode() + b"4,5\n", "2 cells", id="a short row"),
        pytest.param(FILE.encode() + b"4,2026-07-01,a,b,c,d\n", "6 cells", id="a long row"),
        pytest.param(gzip.compress(FILE.encode() * 50)[:-20], "gzip", id="gzip cut off"),
        pytest.param(gzip.compress(FILE.encode())[:12], "gzip", id="gzip cut off at its beginning"),
        pytest.param(b"\x1f\x8bnot gzip at all", "gzip", id="gzip in name only"),
        pytest.param(gzip.compress(FILE.encode())[:-8] + b"\x00" * 8, "gzip", id="gzip with a wrong checksum"),
        pytest.param(b'"' + b"x" * 200_000, "header", id="a header without end"),
        pytest.param(b'{"orders": []}', "no layout", id="JSON in a CSV inbox"),
    ],
)
def test_a_file_that_is_not_whole_or_not_ours_is_refused_with_the_reason(content: bytes, why: str) -> None:
    assert why in refusal(content)


def test_a_refusal_of_an_older_windows_file_says_the_way_out() -> None:
    assert 'encodings = ["utf-8", "cp1252"]' in refusal(FILE.encode("cp1252"))


def test_a_file_for_a_source_that_sends_none_is_refused() -> None:
    known = contract()
    api = known.model_copy(update={"entities": [e for e in known.entities if e.format != "csv"]})

    assert "takes no files" in refusal(FILE, api)


def test_a_fault_in_a_late_chunk_refuses_the_file_when_it_is_met() -> None:
    content = HEADER + "\n" + "".join(f"{n},2026-07-01,{'x' * 2000},$1.00,\n" for n in range(9000)) + "cut"

    opened = open_document(io.BytesIO(content.encode()), contract(), None, 1000)

    with pytest.raises(DocumentRefused):
        list(opened.chunks)


# --- JSON --------------------------------------------------------------------------------------------------


def orders(*found: dict[str, Any]) -> str:
    return json.dumps({"orders": list(found)})


def test_deep_values_stand_under_dotted_names() -> None:
    record = {
        "a": {"b": {"c": 1, "d": None}},
        "list": [1, "two", True],
        "empty": [],
        "objects": [{"x": "first"}, {"x": "second"}],
        "yes": True,
        "no": False,
    }

    assert flatten(record) == {
        "a.b.c": "1",
        "a.b.d": None,
        "list": "1;two;True",
        "empty": None,
        "objects.0.x": "first",
        "yes": "true",
        "no": "false",
    }


def test_items_and_returns_give_a_row_each_and_the_record_stays_one() -> None:
    content = orders(
        {"id": "A", "items": [{"name": "Bun"}, {"name": "Tea"}]},
        {"id": "B", "returns": [{"source": "A", "return_line_items": [{"name": "Bun"}]}]},
    )

    chunks, _ = read(content, entity="orders")

    assert chunks[0].positions == [1, 2]
    assert chunks[0].record_ids == ["A", "B"]
    assert rows(content, entity="orders") == [
        {"id": "A", "items.name": "Bun", "returns.source": None, POSITION: 1},
        {"id": "A", "items.name": "Tea", "returns.source": None, POSITION: 1},
        {"id": "B", "items.name": "Bun", "returns.source": "A", POSITION: 2},
    ]


@pytest.mark.parametrize("record", [{"id": "A"}, {"id": "A", "items": []}, {"id": "A", "items": None}])
def test_a_record_without_items_still_gives_a_row_so_that_it_can_be_rejected(record: dict[str, Any]) -> None:
    """Else it would be in raw and nowhere else."""
    (row,) = rows(orders(record), entity="orders")

    assert row["id"] == "A"


@pytest.mark.parametrize(
    "number", ["0.10", "1149.00", "3.0000000000000000001", "1e2", "12345678901234567890123", "-7", "0.1"]
)
def test_a_number_stays_the_text_that_came(number: str) -> None:
    content = f'{{"items": [{{"sku": "A", "price": {number}}}]}}'

    assert rows(content, entity="items")[0]["price"] == number


def test_of_a_key_that_comes_twice_the_last_counts() -> None:
    assert rows('{"items": [{"sku": "A", "sku": "B"}]}', entity="items")[0]["sku"] == "B"


def test_a_json_key_named_like_our_mark_does_not_take_its_place() -> None:
    assert rows(f'{{"items": [{{"sku": "A", "{POSITION}": 9}}]}}', entity="items")[0][POSITION] == 1


def test_a_text_that_spells_a_zero_character_is_kept() -> None:
    content = json.dumps({"items": [{"sku": r"C:\u0000 is a path"}]})

    assert records(content, entity="items") == [{"sku": r"C:\u0000 is a path"}]


def test_an_empty_list_is_an_empty_page() -> None:
    assert records('{"items": []}', entity="items") == []


@pytest.mark.parametrize(
    "content", ['\ufeff{"items": [{"sku": "é"}]}'.encode(), '{"items": [{"sku": "é"}]}'.encode("utf-16")]
)
def test_json_of_another_encoding_is_read(content: bytes) -> None:
    assert records(content, entity="items") == [{"sku": "é"}]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param("", "not JSON", id="empty"),
        pytest.param("<html><body>502 Bad Gateway</body></html>", "not JSON", id="HTML"),
        pytest.param('{"items": [{"sku": "A"}', "not JSON", id="cut off"),
        pytest.param('{"items": [{"sku": NaN}]}', "not JSON", id="NaN"),
        pytest.param('{"items": [{"sku": -Infinity}]}', "not JSON", id="Infinity"),
        pytest.param(b'{"items": [{"sku": "\xff"}]}', "not JSON", id="not UTF-8"),
        pytest.param('{"error": "token expired"}', "no list 'items'", id="another body"),
        pytest.param('{"items": {"sku": "A"}}', "no list 'items'", id="an object for a list"),
        pytest.param('{"items": ["A"]}', "no list 'items'", id="texts for records"),
        pytest.param('"items"', "no list 'items'", id="a text"),
        pytest.param('{"items": [{"sku": "a\\u0000b"}]}', "zero characters", id="a zero character"),
        pytest.param('{"items": [{"a\\u0000b": 1}]}', "zero characters", id="a zero character in a key"),
        pytest.param('{"items": [{"sku": "\\ud800"}]}', "half a character", id="half a surrogate pair"),
        pytest.param('{"items": [{"sku": ' + "[" * 100_000 + "]" * 100_000 + "}]}", "nested", id="nested without end"),
        pytest.param('{"items": [{"sku": ' + "[" * 400 + "]" * 400 + "}]}", "nested", id="nested too deep"),
    ],
)
def test_a_response_that_is_not_what_was_agreed_is_refused(content: bytes | str, why: str) -> None:
    assert why in refusal(content, entity="items")


@pytest.mark.parametrize(
    "record",
    [
        {"items": "Bun"},
        {"items": ["Bun"]},
        {"items": {"name": "Bun"}},
        {"items": [None]},
        {"returns": ["A"]},
        {"returns": [{"return_line_items": "A"}]},
    ],
)
def test_items_that_are_no_objects_are_no_items_so_that_the_record_is_rejected(record: dict[str, Any]) -> None:
    (row,) = rows(orders({"id": "A", **record}), entity="orders")

    assert row == {"id": "A", POSITION: 1}


# --- XML ---------------------------------------------------------------------------------------------------


def deliveries(inside: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<deliveries page="1">{inside}</deliveries>'


def test_attributes_and_repeated_children_are_values_and_rows() -> None:
    content = deliveries(
        '<delivery id="D1" place="x&amp;y"><line sku="A" n="1.50"/><line sku="B" n="2"/><by>Ana</by></delivery>'
    )

    assert rows(content, entity="deliveries") == [
        {"id": "D1", "place": "x&y", "by": "Ana", "line.sku": "A", "line.n": "1.50", POSITION: 1},
        {"id": "D1", "place": "x&y", "by": "Ana", "line.sku": "B", "line.n": "2", POSITION: 1},
    ]


def test_a_child_named_like_an_attribute_does_not_lose_either() -> None:
    (row,) = records(deliveries('<delivery id="D1"><id>2</id><line sku="A"/></delivery>'), entity="deliveries")

    assert row["id"] == ["D1", "2"]


def test_the_text_of_an_element_with_attributes_is_kept() -> None:
    (row,) = rows(
        deliveries('<delivery id="D1"><line sku="A"><cost unit="EUR">1.20</cost></line></delivery>'),
        entity="deliveries",
    )

    assert (row["line.cost.0.unit"], row["line.cost.0.#text"]) == ("EUR", "1.20")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param("", "not well-formed", id="empty"),
        pytest.param(deliveries('<delivery id="D1"><line sku='), "not well-formed", id="broken"),
        pytest.param(deliveries("")[:-5], "not well-formed", id="cut off"),
        pytest.param("<html><body>502</body></html>", "web page", id="HTML"),
        pytest.param('<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>', "web page", id="XHTML"),
        pytest.param(
            '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><deliveries>&b;</deliveries>',
            "not well-formed",
            id="an entity bomb",
        ),
        pytest.param(
            '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><deliveries>&a;</deliveries>',
            "not well-formed",
            id="an entity that reads a file",
        ),
        pytest.param(
            '<?xml version="1.0" encoding="no-such"?><deliveries/>', "not well-formed", id="an unknown encoding"
        ),
        pytest.param("<delivery>" * 5000 + "</delivery>" * 5000, "nested", id="nested too deep"),
    ],
)
def test_xml_that_is_not_what_was_agreed_is_refused(content: str, why: str) -> None:
    assert why in refusal(content, entity="deliveries")


# --- anything at all ---------------------------------------------------------------------------------------

SQUARE = (
    "Date,Time,Time Zone,Category,Item,Qty,SKU,Modifiers Applied,Gross Sales,Discounts,Net Sales,Tax,Transaction ID,"
    "Event Type,Location,Customer Name\n"
    + "".join(
        f'2026-07-0{n % 9 + 1},09:00:{n % 60:02d},Eastern Time (US & Canada),None,"Té, ""{n}""",1.0,"","Vanilla, 16oz",'
        f'"$1,00{n % 10}.50",-$0.50,"$1,000.00",$0.54,T{n},Payment,Sunny Corner\u2019s,Zoë Ñ\n'
        for n in range(30)
    )
).encode()
MUTATION = st.tuples(
    st.sampled_from(["put", "cut", "swap", "repeat"]),
    st.integers(0, 3000),
    st.one_of(
        st.binary(min_size=1, max_size=4),
        st.sampled_from([b'"', b"\n", b"\r", b",", b"\x00", b"\xff\xfe", b"\xc3", b'""', b"\r\n\r\n"]),
    ),
)


def mutated(content: bytes, steps: list[tuple[str, int, bytes]]) -> bytes:
    for how, place, with_what in steps:
        at = place % (len(content) + 1)
        if how == "put":
            content = content[:at] + with_what + content[at:]
        elif how == "cut":
            content = content[:at]
        elif how == "swap":
            content = content[:at] + with_what + content[at + len(with_what) :]
        else:
            content = content[:at] + content[max(0, at - 40) :]
    return content


def read_or_refused(content: bytes, known: Contract, entity: str | None) -> None:
    try:
        chunks = list(open_document(io.BytesIO(content), known, entity, 7).chunks)
    except DocumentRefused as refused:
        assert refused.message and "\n" not in refused.message
        return
    for chunk in chunks:
        assert len(chunk.positions) == len(chunk.payloads) == len(chunk.record_ids)
        assert all(json.loads(payload) is not None and b"\x00" not in payload for payload in chunk.payloads)
        assert set(chunk.frame[POSITION]) <= set(chunk.positions)


@settings(max_examples=250, deadline=None)
@given(steps=st.lists(MUTATION, min_size=1, max_size=4), wrapped=st.sampled_from(["plain", "gzip", "utf-16", "cp1252"]))
def test_a_damaged_file_is_read_or_refused(steps: list[tuple[str, int, bytes]], wrapped: str) -> None:
    known = contract(
        recognised_by=["Transaction ID", "Item"],
        encodings=["utf-8", "cp1252"] if wrapped == "cp1252" else ["utf-8"],
        columns={
            "receipt_number": {"from": "Transaction ID", "required": True},
            "sold_on": {"from": "Date", "type": "date"},
            "product_name": {"from": "Item"},
        },
    )
    content = SQUARE
    if wrapped == "gzip":
        content = gzip.compress(content)
    elif wrapped == "utf-16":
        content = b"\xff\xfe" + content.decode().encode("utf-16-le")
    elif wrapped == "cp1252":
        content = content.decode().encode("cp1252")

    read_or_refused(mutated(content, steps), known, None)


@settings(max_examples=150, deadline=None)
@given(
    content=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
)
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for entity in (None, "orders", "items", "deliveries"):
        read_or_refused(content, contract(), entity)


JSON_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(["id", "items", "returns"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=250, deadline=None)
@given(body=st.dictionaries(st.sampled_from(["id", "items", "returns", "name"]), JSON_VALUE, max_size=4))
def test_any_json_is_read_or_refused(body: dict[str, Any]) -> None:
    read_or_refused(json.dumps({"orders": [body]}).encode("utf-8", "surrogatepass"), contract(), "orders")


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(MUTATION, min_size=1, max_size=3))
def test_any_damaged_xml_is_read_or_refused(steps: list[tuple[str, int, bytes]]) -> None:
    whole = deliveries('<delivery id="D1"><line sku="A" n="1"/><line sku="B"><n>2</n></line></delivery>' * 5)

    read_or_refused(mutated(whole.encode(), steps), contract(), "deliveries")
