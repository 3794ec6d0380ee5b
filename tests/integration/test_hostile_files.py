"""Files made by an enemy: nothing of them is ever executed, and nothing of them is lost."""

from __future__ import annotations

import csv
import gzip
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as quickly
from hypothesis import strategies as st

from panpan.errors import DocumentRefused, IngestError, PanpanError
from panpan.ingest import inbox
from panpan.settings import Settings
from transforms.contract import load_contracts
from transforms.documents import POSITION, open_document
from transforms.formatted.records import format_records
from transforms.run import run

Deliver = Callable[..., int]
Ask = Callable[..., list[tuple[Any, ...]]]

COLUMNS = [
    "Transaction ID",
    "Event Type",
    "Date",
    "Time",
    "Location",
    "SKU",
    "Item",
    "Qty",
    "Gross Sales",
    "Discounts",
    "Net Sales",
    "Tax",
    "Payment ID",
    "Customer ID",
]
SQL = "'); drop table core.sales; --"
HOSTILE = [
    SQL,
    "$$; drop schema core cascade; $$",
    "%s %(x)s {0} {x} \\x",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd",
    "<script>alert(1)</script>",
    "{{ 7*7 }}{% include '/etc/passwd' %}",
    "=1+1\"; copy (select 1) to program 'touch /tmp/pwned'; --",
    "../../etc/passwd",
    "$(touch /tmp/pwned)`id`",
    "\u202egnp.exe\u200b",
    "a" * 5000,
    "Robert'); -- \\",
]
GZIP_BOMB_BYTES = 100 * 2**20
LINE_BYTES = 200 * 2**20  # issue 6 names 1 GB; the way is the same, the time is not


def sheet(rows: list[dict[str, str]]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def sale(number: int, **other: str) -> dict[str, str]:
    good = {
        "Transaction ID": f"T{number}",
        "Event Type": "Payment",
        "Date": "2026-05-01",
        "Time": "10:00:00",
        "Location": "PanPan Centro",
        "SKU": f"SKU-{number}",
        "Item": "Croissant",
        "Qty": "1",
        "Gross Sales": "€2.50",
        "Discounts": "€0.00",
        "Net Sales": "€2.50",
        "Tax": "€0.10",
        "Payment ID": f"P{number}",
        "Customer ID": "",
    }
    return {**good, **other}


def test_hostile_text_in_every_field_is_text_or_a_reject_and_never_code(
    warehouse: Settings, deliver: Deliver, ask: Ask
) -> None:
    """Each field of a receipt holds an attack once; records are counted, the schema stands, good sales are there."""
    attacks = [(column, text) for column in COLUMNS for text in HOSTILE]
    rows = [sale(number, **{column: text}) for number, (column, text) in enumerate(attacks)]
    rows.append(sale(99_999))
    tables = ask("select count(*) from pg_class where relnamespace::regnamespace::text ~ '^(core|raw_pos|marts|ops)$'")

    deliver("pos", sheet(rows))
    run(warehouse)

    assert ask("select count(*) from raw_pos.sale_lines") == [(len(rows),)]
    assert tables == ask(
        "select count(*) from pg_class where relnamespace::regnamespace::text ~ '^(core|raw_pos|marts|ops)$'"
    )
    (taken,) = ask("select count(*) from core.sale_lines")[0]
    (rejected,) = ask("select count(distinct raw_id) from ops.rejects")[0]
    assert taken + rejected == len(rows)
    assert ask("select product_name from core.products where product_key like '%SKU-99999%'") == [("Croissant",)]
    kept = {name for (name,) in ask("select product_name from core.products")}
    assert {SQL, "<script>alert(1)</script>", "=cmd|' /C calc'!A0"} <= kept
    assert not Path("/tmp/pwned").exists()  # noqa: S108  # the place the attacks name


@pytest.mark.parametrize(
    "name", ["../evil.csv", "a\x00b.csv", "..", "/etc/passwd", "-rf *.csv", "$(touch x).csv", "é\n.csv"]
)
def test_no_name_leaves_the_inbox_of_its_source(warehouse: Settings, tmp_path: Path, name: str) -> None:
    try:
        file = tmp_path / name.replace("/", "_")
        file.write_text("a")
        placed = inbox.drop(warehouse, file, "pos")
    except (IngestError, ValueError, OSError):
        return  # refused, or no file can have this name
    assert placed.resolve().parent == (warehouse.inbox / "pos").resolve()


def test_source_that_is_a_path_is_refused_before_anything_is_written(warehouse: Settings, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("a")

    for source in ("../../outside", "/tmp/outside", "..", "pos/../../x"):  # noqa: S108
        with pytest.raises(PanpanError):
            inbox.drop(warehouse, file, source)

    assert not (warehouse.home.parent / "outside").exists()
    assert [path for path in warehouse.home.rglob("a.csv")] == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"PK\x03\x04 a spreadsheet or an archive", "file is"),
        (b"\x1f\x8b\x08\x00broken", "gzip"),
        (sheet([sale(1)]).encode().replace(b"Croissant", b"Crois\x00sant"), ""),
        (b"\x00" * 1000, ""),
        (b"%PDF-1.7", ""),
        (b"<html><script>alert(1)</script>", "web page"),
        (b"MZ\x90\x00", ""),
        (b"", "empty"),
    ],
)
def test_what_is_no_export_is_refused_with_a_sentence_and_its_bytes_are_kept(
    warehouse: Settings, deliver: Deliver, ask: Ask, content: bytes, why: str
) -> None:
    deliver("pos", content)
    deliver("pos", sheet([sale(7)]))

    run(warehouse)

    (status, reason), (second, _) = ask("select status, reason from ops.loads order by load_id")
    assert (status, second) == ("refused", "loaded")
    assert why in reason and len(reason) < 500
    assert bytes(ask("select content from raw_pos.documents order by document_id limit 1")[0][0]) == content
    assert ask("select count(*) from core.sale_lines") == [(1,)]


def peak_mebibytes(program: str, file: Path) -> tuple[str, int]:
    """What a program of its own prints about a file, and the memory it took at most."""
    source = f"""
import os, resource, sys
from pathlib import Path
from panpan.errors import DocumentRefused
from transforms.contract import load_contracts
from transforms.documents import POSITION, open_document
contract = load_contracts(Path("/nowhere"))["pos"]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
{program}
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
sys.stdout.flush()
os._exit(0)  # Arrow may still read ahead in a thread of a file that was refused; only the memory is asked for here
"""
    answer = subprocess.run(
        [sys.executable, "-c", source, str(file)], capture_output=True, text=True, timeout=300, check=False
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    said, _, mebibytes = answer.stdout.strip().rpartition("\n")
    return said, int(mebibytes)


READ = """
try:
    with open(sys.argv[1], "rb") as stream:
        rows = sum(len(chunk.positions) for chunk in open_document(stream, contract, None, 1000).chunks)
    print("rows", rows)
except DocumentRefused as refusal:
    print("refused", refusal.message)
"""


def test_a_very_long_line_is_refused_in_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "line.csv"
    with file.open("wb") as stream:
        stream.write((",".join(COLUMNS) + "\nT1,Payment,2026-05-01,").encode())
        for _ in range(LINE_BYTES // 2**20):
            stream.write(b"9" * 2**20)

    said, mebibytes = peak_mebibytes(READ, file)

    assert said.startswith("refused"), said
    assert mebibytes < 400


def test_a_gzip_bomb_is_read_in_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "bomb.csv.gz"
    line = b"x" * 2**20
    with gzip.open(file, "wb", compresslevel=1) as stream:
        stream.write((",".join(COLUMNS) + "\n").encode())
        for _ in range(GZIP_BOMB_BYTES // 2**20):
            stream.write(line)

    said, mebibytes = peak_mebibytes(READ, file)

    assert said.startswith("refused"), said
    assert mebibytes < 400


TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)
CONTRACTS = load_contracts(Path("/nowhere"))


@quickly(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(CONTRACTS)), st.binary(max_size=400))
def test_any_bytes_are_rows_or_a_refusal(source: str, content: bytes) -> None:
    contract = CONTRACTS[source]
    entity = contract.entities[0].entity
    try:
        opened = open_document(io.BytesIO(content), contract, entity, 100)
        for chunk in opened.chunks:
            assert chunk is not None
    except DocumentRefused as refusal:
        assert refusal.message


@quickly(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.fixed_dictionaries({name: TEXT for name in COLUMNS}), min_size=1, max_size=5))
def test_any_text_in_any_column_is_a_row_or_a_reject(rows: list[dict[str, str]]) -> None:
    contract = CONTRACTS["pos"]
    try:
        opened = open_document(io.BytesIO(sheet(rows).encode()), contract, None, 100)
        frames = [(chunk, format_records(chunk.frame, contract, opened.entity)) for chunk in opened.chunks]
    except DocumentRefused as refusal:
        assert refusal.message
        return
    for chunk, typed in frames:
        found = set(typed.rows["position"].to_pylist()) | set(typed.rejects["position"])
        assert found == set(chunk.frame[POSITION])
