"""From a line of the model to the record it came from, and from every record to where it went."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import openpyxl
import pytest
from pyarrow import parquet

from db.connection import connect
from panpan.settings import Settings
from transforms import documents
from transforms.audit import audit
from transforms.contract import load_contracts
from transforms.intake import RAW_IDS_PER_DOCUMENT
from transforms.lineage import _counted_lines
from transforms.quality import received
from transforms.rejects import receive_again
from transforms.run import run
from transforms.trace import trace

Deliver = Callable[..., int]
Ask = Callable[..., list[tuple[Any, ...]]]

HEADER = "Transaction ID,Event Type,Date,Time,Location,SKU,Item,Qty,Gross Sales,Discounts,Net Sales,Tax,Notes\n"
FIRST = HEADER + (
    'R1,Payment,2026-06-10,09:00:00,PanPan Centro,B,Bun,1,€2.00,€0.00,€2.00,€0.20,"a ""b"" \\ c\nd\te"\n'
    "R1,Payment,2026-06-10,09:00:00,PanPan Centro,B,Bun,1,€2.00,€0.00,€2.00,€0.20,\n"
    "R2,Payment,2026-06-10,09:01:00,PanPan Centro,B,Bun,zero,€2.00,€0.00,€2.00,€0.20,\n"
)
SECOND = HEADER + "R1,Payment,2026-06-10,09:00:00,PanPan Centro,B,Bun,1,€3.00,€0.00,€3.00,€0.30,\n"
ORDERS = {
    "orders": [
        {
            "id": "O1",
            "state": "COMPLETED",
            "created_at": "2026-06-10T10:00:00Z",
            "location_id": "L-DELIVERY",
            "line_items": [
                {
                    "name": name,
                    "quantity": "1",
                    "gross_sales_money": {"amount": 900},
                    "total_money": {"currency": "EUR"},
                }
                for name in ("Pizza", "Cola")
            ],
        },
        {
            "id": "O2",
            "state": "COMPLETED",
            "created_at": "2026-06-10T10:00:00Z",
            "location_id": "L-DELIVERY",
            "line_items": [],
        },
        {
            "id": "O3",
            "state": "CANCELED",
            "created_at": "2026-06-10T10:00:00Z",
            "location_id": "L-DELIVERY",
            "line_items": [
                {
                    "name": "Pie",
                    "quantity": "1",
                    "gross_sales_money": {"amount": 100},
                    "total_money": {"currency": "EUR"},
                }
            ],
        },
    ]
}

# Where a raw record went: to a line, to a reject, or it was replaced by a later document of its receipt.
WHEREABOUTS = """
select record.raw_id, record.source_record_id,
    (select count(*) from core.sale_lines as line where line.raw_id = record.raw_id) as lines,
    (select count(*) from ops.rejects as reject
        where reject.raw_id = record.raw_id and reject.resolved_at is null) as rejects,
    exists (
        select from core.sales as sale
        where sale.receipt_number = record.source_record_id and sale.document_id > record.document_id
    ) as is_replaced
from (select * from raw_pos.sale_lines union all select * from raw_pos.orders) as record
order by 1
"""


def test_every_line_leads_to_its_record_and_every_record_to_its_whereabouts(
    warehouse: Settings, deliver: Deliver, ask: Ask
) -> None:
    deliver("pos", FIRST)
    run(warehouse)
    deliver("pos", SECOND)
    deliver("pos_api", json.dumps(ORDERS), "orders")
    run(warehouse)

    found = {(name, lines, rejects, replaced) for _, name, lines, rejects, replaced in ask(WHEREABOUTS)}
    assert found == {
        ("R1", 0, 0, True),
        ("R1", 1, 0, False),
        ("R2", 0, 1, False),
        ("O1", 2, 0, False),
        ("O2", 0, 1, False),
        ("O3", 2, 0, False),  # the sale and its reversal
    }
    assert ask(
        "select count(*) from core.sale_lines as line where not exists (select from "
        "raw_pos.sale_lines as r where r.raw_id = line.raw_id) "
        "and not exists (select from raw_pos.orders as r where r.raw_id = line.raw_id)"
    ) == [(0,)]


def test_a_raw_id_names_its_document_and_place_and_the_payload_is_as_received(
    warehouse: Settings, deliver: Deliver, ask: Ask
) -> None:
    load_id = deliver("pos", FIRST)
    run(warehouse)

    ((document_id,),) = ask("select document_id from raw_pos.documents where load_id = %s", load_id)
    records = ask("select raw_id, position, payload from raw_pos.sale_lines order by 1")
    assert [(raw_id, place) for raw_id, place, _ in records] == [
        (document_id * RAW_IDS_PER_DOCUMENT + place, place) for place in (1, 2, 3)
    ]
    assert records[0][2]["Notes"] == 'a "b" \\ c\nd\te'
    assert set(records[0][2]) == set(HEADER.strip().split(","))
    assert ask("select note from core.sale_lines order by raw_id limit 1") == [('a "b" \\ c\nd\te',)]


TITLED = 'Till 3\n\n"all shifts,\nNorth"\n' + HEADER
EARLIER, LATER = FIRST.removeprefix(HEADER), SECOND.removeprefix(HEADER).replace("R1", "R3")


def workbook(*rows: str) -> bytes:
    """A workbook whose rows hold these cells, as texts."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row.split(","))
    packed = io.BytesIO()
    book.save(packed)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "line"),
    [
        pytest.param(HEADER + LATER, 2, id="a line each"),
        pytest.param("Till 3\n" + HEADER + LATER, 3, id="a title above"),
        pytest.param(HEADER + "\n\n" + LATER, 4, id="empty lines between"),
        pytest.param(HEADER + "," * 12 + "\n" + LATER, 3, id="a row without anything between"),
        pytest.param(TITLED + EARLIER + LATER, 10, id="titles and cells of several lines"),
        pytest.param(gzip.compress((TITLED + EARLIER + LATER).encode()), 10, id="gzip"),
        pytest.param(b"\xff\xfe" + (TITLED + EARLIER + "\n" + LATER).encode("utf-16-le"), 11, id="UTF-16"),
        pytest.param(workbook("Till 3", "", HEADER.strip(), LATER.strip()), 4, id="a workbook"),
    ],
)
def test_a_record_leads_to_its_line(warehouse: Settings, deliver: Deliver, content: bytes | str, line: int) -> None:
    deliver("pos", content)
    assert run(warehouse).refusals == []

    (record,) = trace(warehouse, "sale:pos/R3", date(2026, 6, 11)).records

    assert record["line"] == line


def test_rows_without_anything_that_were_records_once_are_no_fault(
    warehouse: Settings, deliver: Deliver, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(documents, "filled_rows", lambda *_: None)
        deliver("pos", HEADER + "," * 12 + "\n" + LATER)
        run(warehouse)
    assert ask("select count(*) from ops.rejects where resolved_at is null") == [(1,)]

    for _ in range(2):  # as they are, and when the load was read again
        now = {"now": datetime.now(UTC) + timedelta(minutes=1)}
        with connect(warehouse, "transformer") as connection:
            for check in received.FUNCTIONS.values():
                assert list(check(connection, load_contracts(), now)) == []
        assert all(found.is_whole for found in audit(warehouse))
        receive_again(warehouse, "pos")
        run(warehouse)

    assert ask("select count(*) from ops.rejects where resolved_at is null") == [(0,)]
    assert ask("select record_count, row_count from ops.loads") == [(2, 1)]


def test_cells_of_several_lines_are_counted_by_the_contracts_delimiter() -> None:
    text = io.StringIO('day;note;amount\n1;"a\nb";2\n3;c;4\n', newline="")

    assert _counted_lines(text, ";", 1, [2, 1]) == [4, 2]


def test_sums_of_the_cited_records_equal_the_mart_to_the_cent(warehouse: Settings, deliver: Deliver, ask: Ask) -> None:
    deliver("pos", FIRST)
    deliver("pos", SECOND)
    run(warehouse)

    cited = ask(
        "select sum(substring(record.payload ->> 'Net Sales' from 2)::numeric) from core.sale_lines as line "
        "inner join raw_pos.sale_lines as record on line.raw_id = record.raw_id"
    )

    assert cited == ask("select sum(net_amount) from marts.daily_store_sales")


def test_the_formatted_file_of_a_load_holds_its_rows_each_with_its_raw_id(
    warehouse: Settings, deliver: Deliver, ask: Ask
) -> None:
    load_id = deliver("pos", FIRST)
    run(warehouse)

    table = parquet.read_table(warehouse.formatted / "pos" / "sale_lines" / f"load_{load_id}.parquet")

    assert [(raw_id,) for raw_id in table["raw_id"].to_pylist()] == ask("select raw_id from core.sale_lines order by 1")
    assert not any("double" in str(kind) or "float" in str(kind) for kind in table.schema.types)
    assert list(warehouse.formatted.rglob("*.part")) == []


def test_counts_of_a_load_are_those_of_its_records(warehouse: Settings, deliver: Deliver, ask: Ask) -> None:
    pos, api = deliver("pos", FIRST), deliver("pos_api", json.dumps(ORDERS), "orders")
    run(warehouse)

    assert ask("select load_id, status, record_count, row_count, reject_count from ops.loads order by 1") == [
        (pos, "loaded", 3, 2, 1),
        (api, "loaded", 3, 4, 1),
    ]
