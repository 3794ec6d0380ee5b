"""
A file's bytes into columns of texts: encoding, delimiter, header, line ends.

Comes in: a path, gzip accepted. Goes out: a ReceivedTable; every value stays the received text.
A file above WHOLE_BYTES is judged by its beginning and by blocks spread over the rest.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.csv as arrow_csv

from panpan.errors import ContractError, DocumentRefused
from transforms.documents import HEADER_ROWS, filled_rows
from transforms.infer.columns import Column
from transforms.workbook import as_csv, is_workbook

WHOLE_BYTES = 200 * 2**20
HEAD_BYTES = 16 * 2**20
SPREAD_BYTES = 2**20
SPREAD_BLOCKS = 64
LOOK_BYTES = 256 * 1024
LOOK_ROWS = 200

DELIMITERS = (",", ";", "\t", "|")
DELIMITER_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
LINE_ENDS = (("\r\n", "CRLF"), ("\n", "LF"), ("\r", "CR"))
SIGNATURES = (
    (rb"PK\x03\x04", "a zip archive", "unpack it"),
    (rb"\xd0\xcf\x11\xe0", "an old Excel workbook (xls)", "save the sheet as CSV"),
    (rb"%PDF", "a PDF", "export the table as CSV"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8", "a picture", "export the table as CSV"),
    (rb"PAR1", "a Parquet file", "export it as CSV"),
    (rb"SQLite format 3", "an SQLite database", "export the table as CSV"),
    (
        rb"\s*<(!doctype|html|head|body|table)",
        "a web page (HTML)",
        "download the export itself, not the page",
    ),
    (rb"\s*<\?xml", "XML", "export it as CSV"),
)


@dataclass(frozen=True)
class ReceivedTable:
    """
    The columns of a file, all of one length, under the names ingest gives them, and how it is written.

    titles: what stands above the header, a text per line.
    """

    columns: list[Column]
    row_count: int
    sampled: bool
    encoding: str
    has_bom: bool
    odd_text: str
    delimiter: str
    line_end: str
    other_length_rows: int
    bare_header: list[str]
    titles: list[str]


def read_table(path: Path) -> ReceivedTable:
    """Errors: ContractError saying what the file looks like when it is no table with a header and rows."""
    blocks = _read_blocks(path)
    _refuse_other_kinds(blocks[0], path)
    encoding, bom = _encoding_of(blocks)
    try:
        text = _decoded(blocks, encoding, len(bom))
    except UnicodeDecodeError as error:
        raise ContractError(
            f"{path.name} is not {encoding} throughout, though the mark at its beginning says so",
            cause=f"near byte {error.start}: {error.reason}",
            next="save it again as UTF-8",
        ) from None
    head = text[:LOOK_BYTES]
    layout = _layout_of(head, path)
    names = layout.header
    rows, skipped = _parse(text, layout, path)
    if not rows.num_rows:
        raise ContractError(
            f"{path.name} has a header and no rows",
            cause=f"its columns are {', '.join(names[:8])}",
            next="take an export of a day that has sales",
        )
    return ReceivedTable(
        columns=_columns_of(rows),
        row_count=rows.num_rows,
        sampled=len(blocks) > 1,
        encoding=encoding,
        has_bom=bool(bom),
        odd_text=_word_outside_ascii(text),
        delimiter=layout.delimiter,
        line_end=next((name for mark, name in LINE_ENDS if mark in head), "LF"),
        other_length_rows=skipped,
        bare_header=names,
        titles=layout.titles,
    )


def unique_names(names: list[str]) -> list[str]:
    """Column names as transforms/documents.py gives them: unnamed and repeated ones get their place."""
    seen: set[str] = set()
    unique = []
    for place, name in enumerate((n.strip() for n in names), start=1):
        own = name if name and name not in seen else f"{name}#{place}"
        seen.add(own)
        unique.append(own)
    return unique


# --- bytes -------------------------------------------------------------------------------------------------


def _read_blocks(path: Path) -> list[bytes]:
    """The whole file as one block, or its head and blocks spread over the rest."""
    try:
        with path.open("rb") as plain:
            stream = _unpacked(plain)
            head = stream.read(WHOLE_BYTES + 1)
            blocks = [head] if len(head) <= WHOLE_BYTES else [head[:HEAD_BYTES], *_spread(stream)]
    except DocumentRefused as refusal:
        cause = refusal.message
        raise ContractError(f"{path.name} can't be read", cause=cause, next="save its sheet as CSV") from refusal
    except (OSError, EOFError) as error:
        raise ContractError(f"{path} can't be read", next="check the path; a .gz file may be cut off") from error
    if not blocks[0].strip():
        raise ContractError(f"{path.name} is empty", next="export it again")
    return blocks


def _unpacked(plain: io.BufferedReader) -> IO[bytes]:
    """The text of a file that is text, gzipped text, or a workbook."""
    head = plain.peek(LOOK_BYTES)
    if head.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.GzipFile(fileobj=plain))
    return as_csv(plain) if is_workbook(head) else plain


def _spread(stream: IO[bytes]) -> list[bytes]:
    """Blocks at even steps of the rest; the step doubles with the length, so their number stays bounded."""
    step = SPREAD_BYTES
    blocks: list[bytes] = []
    place = 0
    while block := stream.read(SPREAD_BYTES):
        if place % step == 0:
            blocks.append(block)
        last = block
        if len(blocks) > SPREAD_BLOCKS:
            blocks, step = blocks[::2], step * 2
        place += SPREAD_BYTES
    return blocks if not blocks or blocks[-1] is last else [*blocks, last]


def _refuse_other_kinds(head: bytes, path: Path) -> None:
    for signature, kind, way_out in SIGNATURES:
        if re.match(signature, head[:4096], re.DOTALL | re.IGNORECASE):
            raise ContractError(f"{path.name} is not a CSV file", cause=f"it looks like {kind}", next=way_out)
    if head[:1] in b"{[" and _is_json(head):
        raise ContractError(f"{path.name} is not a CSV file", cause="it looks like JSON", next="export it as CSV")
    if not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        _refuse_binary(head[:LOOK_BYTES], path)


def _refuse_binary(look: bytes, path: Path) -> None:
    zeros = look.count(0)
    if zeros > 0.3 * len(look) and 0 in (look[0::2].count(0), look[1::2].count(0)):
        raise ContractError(
            f"{path.name} is not readable text",
            cause="it looks like UTF-16 without the mark at its beginning",
            next="save it as UTF-8",
        )
    strange = sum(look.count(code) for code in range(32) if code not in (9, 10, 12, 13, 27))
    if zeros or strange > 0.01 * len(look):
        raise ContractError(
            f"{path.name} is not a CSV file",
            cause="it looks like binary data",
            next="export the table as CSV",
        )


def _is_json(head: bytes) -> bool:
    try:
        json.loads(head)
    except (ValueError, UnicodeDecodeError):
        return re.match(rb'\s*(\[\s*)?\{\s*"', head) is not None
    return True


def _encoding_of(blocks: list[bytes]) -> tuple[str, bytes]:
    """The encoding and the mark that told it (empty when none did)."""
    for mark, name in BOMS:
        if blocks[0].startswith(mark):
            return name, mark
    for encoding in ("utf-8", "cp1252"):
        try:
            for block in _cut_at_lines(blocks):
                block.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding, b""
    return "latin-1", b""


def _cut_at_lines(blocks: list[bytes]) -> list[bytes]:
    """Sampled blocks without the line parts at their edges."""
    if len(blocks) == 1:
        return blocks
    head, *rest = blocks
    cut = [head[: head.rfind(b"\n") + 1]]
    return cut + [block[block.find(b"\n") + 1 : block.rfind(b"\n") + 1] for block in rest]


def _decoded(blocks: list[bytes], encoding: str, mark_length: int) -> str:
    blocks = [blocks[0][mark_length:], *blocks[1:]]
    if not encoding.startswith("utf-16"):
        return "".join(block.decode(encoding) for block in _cut_at_lines(blocks))
    texts = [block.decode(encoding, "replace") for block in blocks]
    if len(texts) == 1:
        return texts[0]
    return texts[0][: texts[0].rfind("\n") + 1] + "".join(t[t.find("\n") + 1 : t.rfind("\n") + 1] for t in texts[1:])


def _word_outside_ascii(text: str) -> str:
    if text.isascii():
        return ""
    found = re.search(r"\w*[^\x00-\x7f][\w]*", text)
    return found[0].strip() if found else ""


# --- rows --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """How the rows are divided, the header's names, the line it ends on, and the titles above it."""

    delimiter: str
    header: list[str]
    line: int
    titles: list[str]


def _layout_of(head: str, path: Path) -> _Layout:
    """The delimiter under which the header has as many cells as most rows."""
    found: list[_Layout] = []
    for delimiter in DELIMITERS:
        rows = _first_rows(head, delimiter)
        width, _ = _usual_width(rows)
        place = next((i for i, (_, row) in enumerate(rows[:HEADER_ROWS]) if not _is_title(row, width)), 0)
        (line, header), (_, agreeing) = rows[place], _usual_width(rows[place:])
        if width > 1 and len(header) == width and agreeing >= 0.8:
            titles = [" ".join(" ".join(row).split()) for _, row in rows[:place]]
            found.append(_Layout(delimiter, header, line, [title for title in titles if title]))
    if not found:
        raise _no_layout(head, path)
    layout = max(found, key=lambda option: len(option.header))
    _refuse_missing_header(layout.header, path)
    return layout


def _is_title(row: list[str], width: int) -> bool:
    """Whether a row names no columns: a heading, a period, or nothing, with or without empty cells behind it."""
    filled = [cell for cell in row if cell.strip()]
    return len(row) != width or len(filled) <= min(2, width // 2) or bool(len(filled) < width and _values(filled))


def _first_rows(head: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """The first rows, each with the line it ends on."""
    reader = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
    rows = []
    try:
        for row in reader:
            if row:
                rows.append((reader.line_num, row))
            if len(rows) >= LOOK_ROWS:
                return rows
    except csv.Error:
        return rows or [(1, [])]
    whole = len(head) < LOOK_BYTES or len(rows) < 2
    return (rows if whole else rows[:-1]) or [(1, [])]


def _usual_width(rows: list[tuple[int, list[str]]]) -> tuple[int, float]:
    width, count = Counter(len(row) for _, row in rows).most_common(1)[0]
    return width, count / len(rows)


def _no_layout(head: str, path: Path) -> ContractError:
    for delimiter in DELIMITERS:
        rows = _first_rows(head, delimiter)
        width, agreeing = _usual_width(rows)
        if width > 1 and agreeing > 0.5:
            line = next(line for line, row in rows if len(row) == width)
            return ContractError(
                f"{path.name} does not begin with its header",
                cause=f"its first line has {len(rows[0][1])} cell(s), most lines have {width}",
                next=f"delete what stands before line {line}",
            )
    first = head.splitlines()[0][:60] if head.strip() else ""
    return ContractError(
        f"{path.name} has a single column",
        cause=f"neither comma, semicolon, tab nor bar divides its lines (first line: {first!r})",
        next="export it with at least a date and an amount or a product",
    )


def _refuse_missing_header(names: list[str], path: Path) -> None:
    if values := _values(names):
        raise ContractError(
            f"{path.name} has no header",
            cause=f"its first line already holds values such as {values[0]!r}; columns are read by name",
            next="add a first line with the columns' names",
        )


def _values(names: list[str]) -> list[str]:
    """The dates and amounts among a row's cells where they are so many that they name no columns."""
    values = [name for name in names if re.fullmatch(r"[-+(]?[$€£]?\s*\d[\d.,:/\- ]*\)?", name.strip())]
    return values if len(values) >= max(1, 0.3 * len(names)) else []


def _parse(text: str, layout: _Layout, path: Path) -> tuple[pa.Table, int]:
    """The rows below the header that hold anything, and how many have another number of cells."""
    names = unique_names(layout.header)
    skipped = 0

    def skip(_row: object) -> str:
        nonlocal skipped
        skipped += 1
        return "skip"

    data = text.encode("utf-8", "replace")
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(data),
            read_options=arrow_csv.ReadOptions(
                column_names=names, skip_rows=layout.line, block_size=max(2**20, min(len(data), 64 * 2**20))
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=layout.delimiter, newlines_in_values=True, invalid_row_handler=skip
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.dictionary(pa.int32(), pa.string())),
                strings_can_be_null=False,
                check_utf8=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise ContractError(
            f"{path.name} can't be split into rows",
            cause=str(error).splitlines()[0][:160],
            next="look for a quotation mark that is never closed",
        ) from None
    table = table.unify_dictionaries().combine_chunks()
    filled = filled_rows(table)
    return table if filled is None else table.filter(filled), skipped


def _columns_of(table: pa.Table) -> list[Column]:
    columns = []
    for place, name in enumerate(table.column_names):
        chunks = table.column(place).chunks
        values = chunks[0] if len(chunks) == 1 else table.column(place).combine_chunks()
        columns.append(Column(name, place, values.indices.to_numpy(), values.dictionary.to_pylist()))
    return columns
