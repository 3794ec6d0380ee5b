"""A workbook is read as the CSV it would be saved as; what can't be read for certain is refused with the reason."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from panpan.errors import DocumentRefused
from transforms import workbook
from transforms.infer import propose
from transforms.workbook import as_csv, is_workbook

HEADER = ["Ticket", "Day", "Time", "Item", "Qty", "Total"]
ROWS: list[list[Any]] = [
    ["A1", date(2026, 5, 31), time(9, 0, 5), "Croissant, butter", 2, 5.2],
    ["A1", date(2026, 5, 31), time(9, 0, 5), 'Café "solo"', 1, 1.1],
    ["A2", date(2026, 6, 1), time(23, 59), "0012", 0.1 + 0.2, -1234567.89],
]


def packed(*sheets: list[list[Any]], **states: str) -> bytes:
    """A workbook with these sheets."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets):
        sheet = book.create_sheet(f"Sheet {number + 1}")
        for row in rows:
            sheet.append(row)
    for title, state in states.items():
        book[title.replace("_", " ")].sheet_state = state
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def text_of(content: bytes, *words: str) -> str:
    with as_csv(io.BytesIO(content), *words) as stream:
        return stream.read().decode("utf-8")


def test_cells_are_the_text_a_person_would_save() -> None:
    assert text_of(packed([HEADER, *ROWS])) == (
        "\ufeffTicket,Day,Time,Item,Qty,Total\n"
        'A1,2026-05-31,09:00:05,"Croissant, butter",2,5.2\n'
        'A1,2026-05-31,09:00:05,"Café ""solo""",1,1.1\n'
        "A2,2026-06-01,23:59:00,0012,0.3,-1234567.89\n"
    )


def test_numbers_are_written_as_the_source_writes_them() -> None:
    assert text_of(packed([["a", "b"], [1.5, 1e21], [True, None]]), ";", ",") == (
        "\ufeffa;b\n1,5;1000000000000000000000\nTRUE;\n"
    )


def test_a_moment_keeps_its_time_and_a_midnight_with_hours_shown_too() -> None:
    rows = [["at"], [datetime(2026, 5, 31, 9, 30)], [datetime(2026, 5, 31)]]

    assert text_of(packed(rows)).splitlines()[1:] == ["2026-05-31 09:30:00", "2026-05-31 00:00:00"]


def test_rows_keep_their_lines_and_empty_ones_at_the_end_are_none() -> None:
    assert text_of(packed([["a", "b"], [], [1, 2], [None, None], []])) == "\ufeffa,b\n\n1,2\n"


def test_titles_above_the_header_are_lines_and_do_not_narrow_the_rows() -> None:
    rows = [["Till 3"], [], ["a", "b", "c"], [1, 2, None], [3]]

    assert text_of(packed(rows)) == "\ufeffTill 3\n\na,b,c\n1,2,\n3,,\n"


def test_a_hidden_or_empty_sheet_is_none() -> None:
    assert text_of(packed([], [["a"], [1]], [["b"], [2]], Sheet_3="hidden")) == "\ufeffa\n1\n"


def test_several_sheets_with_rows_are_refused_by_name() -> None:
    with pytest.raises(DocumentRefused, match=r"several sheets \(Sheet 1, Sheet 2\)"):
        text_of(packed([["a"]], [["b"]]))


def test_formulas_without_values_are_refused_not_read_as_nothing() -> None:
    with pytest.raises(DocumentRefused, match="never calculated"):
        text_of(packed([["a", "b"], [1, "=A2*2"]]))


def sheets_of(content: bytes) -> list[str]:
    return [name for name in zipfile.ZipFile(io.BytesIO(content)).namelist() if workbook.SHEET.fullmatch(name)]


def rewritten(content: bytes, name: str, made: bytes) -> bytes:
    """The workbook with another part in the place of one."""
    old, new = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
    with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in old.namelist():
            archive.writestr(part, made if part == name else old.read(part))
    return new.getvalue()


def test_the_value_a_formula_had_counts() -> None:
    content = packed([["a", "b"], [1, 7]])
    [sheet] = sheets_of(content)
    text = zipfile.ZipFile(io.BytesIO(content)).read(sheet)
    computed = re.sub(rb"<v>7</v>", b"<f>A2*7</f><v>7</v>", text)

    assert computed != text
    assert text_of(rewritten(content, sheet, computed)) == "\ufeffa,b\n1,7\n"


def test_a_workbook_that_unpacks_to_too_much_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "MOST_BYTES", 4096)

    with pytest.raises(DocumentRefused, match="unpacks to more"):
        text_of(packed([["a" * 200] * 40]))


def test_an_entity_bomb_is_refused() -> None:
    content = packed([["a"], ["b"]])
    [sheet] = sheets_of(content)
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + zipfile.ZipFile(io.BytesIO(content)).read(sheet)

    with pytest.raises(DocumentRefused, match="damaged"):
        text_of(rewritten(content, sheet, bomb.replace(b">b<", b">&a;<")))


@pytest.mark.parametrize("length", [30, 1000, -30])
def test_a_workbook_cut_off_is_refused(length: int) -> None:
    content = packed([HEADER, *ROWS * 50])

    with pytest.raises(DocumentRefused, match="damaged"):
        text_of(content[:length])


def test_another_zip_archive_is_no_workbook() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("sales.csv", "a,b")

    assert not is_workbook(stream.getvalue())
    assert is_workbook(packed([["a"]]))


def test_nothing_stays_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook.tempfile, "tempdir", str(tmp_path))
    text_of(packed([HEADER, *ROWS]))

    assert list(tmp_path.iterdir()) == []


def test_a_contract_is_proposed_from_a_workbook(tmp_path: Path) -> None:
    file = tmp_path / "till.xlsx"
    sold = [[f"T{number}", date(2026, 5, 1 + number % 28), time(9), "Bun", 2, 2.4] for number in range(60)]
    file.write_bytes(packed([HEADER, *sold]))

    proposal = propose(file, "till")

    assert 'from = "Total"' in proposal.contract_text
    assert 'format = "%Y-%m-%d"' in proposal.contract_text
