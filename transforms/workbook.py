"""
An Excel workbook as the CSV it would be saved as: the one sheet that has rows, as text.

Comes in: the bytes of a workbook. Goes out: a stream of UTF-8 with its mark. Nothing is computed and no link followed:
of a formula the value counts that the workbook keeps.
"""

from __future__ import annotations

import csv
import io
import re
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import IO, Any
from xml.etree.ElementTree import ParseError

import openpyxl

from panpan.errors import DocumentRefused

SIGNATURE = re.compile(rb"PK\x03\x04.{0,2000}?(xl/|\[Content_Types\])", re.DOTALL)
# What a workbook may unpack to; its texts are held in memory, its rows are not.
MOST_BYTES = 2**30
MOST_TEXT_BYTES = 64 * 2**20
TEXTS = "xl/sharedStrings.xml"
SHEET = re.compile(r"xl/worksheets/[^/]+\.xml")
BLOCK_BYTES = 2**20
# A formula without the value it had last; one that gave an empty text has <v></v>.
NEVER_CALCULATED = re.compile(rb"(</f>|<f[^<>]*/>)(<v ?/>)?</c>")
LONGEST_END = 256
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    ParseError,
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


class _Kept(io.BufferedReader):
    """A file without a name that goes with its last reader."""

    def __del__(self) -> None:
        self.close()


def is_workbook(head: bytes) -> bool:
    """Whether a file that begins like this is an Excel workbook (xlsx)."""
    return SIGNATURE.match(head) is not None


def as_csv(stream: IO[bytes], delimiter: str = ",", decimal_mark: str = ".") -> io.BufferedReader:
    """
    The workbook's rows as CSV, a line per row of the sheet, on disk until its last reader goes.

    Numbers have the 15 digits Excel keeps and the given mark; days are 2026-05-31, moments 2026-05-31 09:00:00.
    Errors: DocumentRefused when it is damaged, unpacks to too much, was never calculated or has rows on several sheets.
    """
    packed = tempfile.TemporaryFile()  # noqa: SIM115  # closed below; a workbook is read from its end
    with packed:
        while block := stream.read(BLOCK_BYTES):
            packed.write(block)
        try:
            with zipfile.ZipFile(packed) as archive:
                _refuse_too_much(archive)
                _refuse_never_calculated(archive)
            return _written(packed, delimiter, decimal_mark)
        except DAMAGED as error:
            raise DocumentRefused("the file is an Excel workbook that is damaged, locked or was cut off") from error


def _refuse_too_much(archive: zipfile.ZipFile) -> None:
    sizes = {part.filename: part.file_size for part in archive.infolist()}
    if sum(sizes.values()) > MOST_BYTES or sizes.get(TEXTS, 0) > MOST_TEXT_BYTES:
        raise DocumentRefused("the file is an Excel workbook that unpacks to more than can be read; save it as CSV")


def _refuse_never_calculated(archive: zipfile.ZipFile) -> None:
    """Programs other than Excel may write formulas without values, which would read as empty cells."""
    for part in archive.namelist():
        if SHEET.fullmatch(part) is None:
            continue
        with archive.open(part) as sheet:
            before = b""
            while block := sheet.read(BLOCK_BYTES):
                if NEVER_CALCULATED.search(before + block):
                    raise DocumentRefused(
                        "the file is an Excel workbook with formulas that were never calculated; open it, save it, and"
                        " hand it over again"
                    )
                before = block[-LONGEST_END:]


def _written(packed: IO[bytes], delimiter: str, decimal_mark: str) -> io.BufferedReader:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and extensions it does not know; values are not among them
        book = openpyxl.load_workbook(packed, read_only=True, data_only=True, keep_links=False)
        try:
            filled = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible" and _has_rows(sheet)]
            if len(filled) > 1:
                names = ", ".join(sheet.title for sheet in filled[:4])
                raise DocumentRefused(
                    f"the file is an Excel workbook with rows on several sheets ({names}); save the one to load alone"
                )
            written = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # the caller's
            text = io.TextIOWrapper(io.BufferedWriter(written), encoding="utf-8-sig", newline="")
            rows = csv.writer(text, delimiter=delimiter, lineterminator="\n")
            for sheet in filled:
                rows.writerows(_rows(sheet, decimal_mark))
            text.detach().detach()  # both write what they hold
        finally:
            book.close()
    written.seek(0)
    return _Kept(written)


def _has_rows(sheet: Any) -> bool:
    return any(cell.value is not None for row in sheet.iter_rows() for cell in row)


def _rows(sheet: Any, decimal_mark: str) -> Iterator[list[str]]:
    """Rows of equal length; empty ones are lines without anything, those at the end are left out."""
    width = 0
    empty = 0
    for row in sheet.iter_rows():
        texts = [_text(cell, decimal_mark) for cell in row]
        while texts and not texts[-1]:
            texts.pop()
        if not texts:
            empty += 1
            continue
        yield from [[]] * empty
        empty = 0
        width = max(width, len(texts))  # the header's, from its line on
        yield texts + [""] * (width - len(texts))


def _text(cell: Any, decimal_mark: str) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return format(Decimal(format(value, ".15g")), "f").replace(".", decimal_mark)
    if isinstance(value, datetime):
        is_day = value.time() == time() and "h" not in (cell.number_format or "").lower()
        return value.date().isoformat() if is_day else value.replace(microsecond=0).isoformat(" ")
    if isinstance(value, date | time):
        return value.isoformat() if isinstance(value, date) else value.replace(microsecond=0).isoformat()
    return str(value)
