"""
Spoiled POS exports: one function per file fault.

Comes in: a good export's bytes. Goes out: what the fault makes of them.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable
from pathlib import Path

from panpan.errors import UsageError
from panpan.simulate.faults import FILE_FAULTS
from panpan.simulate.square_csv import row

SECOND_COPY = "pos_duplicate_file"
"""The one file fault that leaves the bytes alone and adds a file."""
_OTHER_REPORT = (
    "Date", "Time", "Time Zone", "Gross Sales", "Discounts", "Net Sales", "Tax", "Event Type", "Payment ID",
)  # fmt: skip


def spoil(path: Path, name: str) -> list[Path]:
    """
    Spoil an export in place; gives every file that now lies there because of it.

    Errors: UsageError for a name that isn't a file fault.
    """
    if name not in FILE_FAULTS:
        raise UsageError(f"{name!r} spoils no file", cause=f"file faults are {', '.join(FILE_FAULTS)}")
    content = path.read_bytes()
    if name == SECOND_COPY:
        second_copy(path).write_bytes(content)
        return [path, second_copy(path)]
    path.write_bytes(spoiled(content, name))
    return [path]


def second_copy(path: Path) -> Path:
    """The name a browser gives to the same file downloaded again."""
    return path.with_name(f"{path.stem} (1){path.suffix}")


def spoiled(content: bytes, name: str) -> bytes:
    """The bytes of a good export after one of the faults that change bytes."""
    return _SPOILERS[name](content)


def _truncated(content: bytes) -> bytes:
    row_end = content.index(b"\n", len(content) * 3 // 5)
    return content[: row_end + 60]


def _other_layout(content: bytes) -> bytes:
    names, rows = _read(content)
    wanted = [names.index(name) for name in _OTHER_REPORT]
    return _written(list(_OTHER_REPORT), [[cells[n] for n in wanted] for cells in rows])


def _unknown_column(content: bytes) -> bytes:
    names, rows = _read(content)
    at = names.index("Device Name")
    for number, cells in enumerate(rows):
        cells.insert(at, f"table {number % 9 + 1}")
    return _written([*names[:at], "Table Info", *names[at:]], rows)


def _line_breaks(content: bytes) -> bytes:
    names, rows = _read(content)
    at = names.index("Notes")
    for cells in rows[::7]:
        cells[at] = "first line\nsecond line, with a comma"
    return _written(names, rows)


def _bad_values(content: bytes) -> bytes:
    names, rows = _read(content)
    for cells, name, value in zip(
        rows[1::3], ("Net Sales", "Date", "Qty"), ("ERROR", "2026-02-31", "one"), strict=False
    ):
        cells[names.index(name)] = value
    return _written(names, rows)


def _read(content: bytes) -> tuple[list[str], list[list[str]]]:
    names, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    return names, rows


def _written(names: list[str], rows: list[list[str]]) -> bytes:
    return "".join(f"{row(cells)}\n" for cells in (names, *rows)).encode()


_SPOILERS: dict[str, Callable[[bytes], bytes]] = {
    "pos_empty": lambda content: b"",
    "pos_truncated": _truncated,
    "pos_other_layout": _other_layout,
    "pos_utf16": lambda content: content.decode().encode("utf-16"),
    "pos_latin1": lambda content: content.decode().encode("cp1252", errors="replace"),
    "pos_bom": lambda content: codecs.BOM_UTF8 + content,
    "pos_unknown_column": _unknown_column,
    "pos_line_breaks": _line_breaks,
    "pos_header_only": lambda content: content[: content.index(b"\n") + 1],
    "pos_bad_values": _bad_values,
}
