"""
Documents into records: decode, recognise, split. Nothing is typed here; every value stays the received text.

Comes in: a document's bytes (a stream, so that a file of any size passes in bounded memory) and its contract.
Goes out: chunks of records, each with its position, its payload as JSON text and its row of texts.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import compress, islice
from typing import IO, Any

import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
from defusedxml import ElementTree

from panpan.errors import DocumentRefused
from transforms.contract import Contract, Entity
from transforms.rules.receipts import whole_receipts
from transforms.workbook import as_csv, is_workbook

TEXT = pd.ArrowDtype(pa.string())
POSITION = "#position"  # column of the record's place; no received name begins with #
HEAD_BYTES = 256 * 1024
BLOCK_BYTES = 2**20
HEADER_ROWS = 30  # a title, a period, a shop's name may stand above the header; it is among so many rows
EXACT_DIGITS = 18  # whole numbers of a response up to here stay numbers in the payload, longer ones texts
ZERO_CHARACTER = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # in JSON text, not after a backslash that is meant
BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
SIGNATURES = (
    (b"PK\x03\x04", "a zip archive; unpack it"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook; save it as CSV"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture"),
)


@dataclass(frozen=True)
class Chunk:
    """
    Some records of one document.

    positions and payloads: one per record, key position (from 1). frame: one row per record, or per item of its
    exploded list; texts as received, null where the record does not have the column, and column POSITION.
    """

    positions: list[int]
    payloads: list[bytes]
    record_ids: list[str | None]
    frame: pd.DataFrame


@dataclass(frozen=True)
class Opened:
    """
    A document whose entity is known: the entity, columns nobody knows, its records in chunks, lines up to its header.

    Chunks that are not read to their end must be closed: Arrow reads ahead in a thread, and a program that ends
    while that thread still holds the stream may hang.
    """

    entity: Entity
    unknown_columns: list[str]
    chunks: Generator[Chunk, None, None]
    header_lines: int = 0


def open_document(stream: IO[bytes], contract: Contract, entity_name: str | None, chunk_rows: int) -> Opened:
    """
    Look at a document's beginning and say what it is; its chunks are read on demand.

    entity_name: known for API responses, None for files, which are told by their header.
    Errors: DocumentRefused, now or while reading chunks, with one sentence why; nothing of it may be kept then.
    """
    stream = _unzipped(stream)
    if entity_name is not None:
        entity = contract.entity_named(entity_name)
        if entity.format != "csv":
            read = read_json if entity.format == "json" else read_xml
            return Opened(entity, [], read(stream.read(), entity, chunk_rows))
    return _open_csv(stream, contract, chunk_rows)


class _Gunzipped(gzip.GzipFile):
    """A gzip file whose faults refuse the document."""

    def read(self, size: int | None = -1) -> bytes:
        try:
            return super().read(size)
        except (EOFError, OSError, zlib.error) as error:
            raise DocumentRefused("the gzip file is damaged or was cut off") from error


def _unzipped(stream: IO[bytes]) -> IO[bytes]:
    # A buffer of our own would close the caller's file when it goes; one that is there already serves as well.
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream, HEAD_BYTES)  # type: ignore[type-var]  # any readable binary stream does
    if buffered.peek(2)[:2] == b"\x1f\x8b":
        return io.BufferedReader(_Gunzipped(fileobj=buffered), HEAD_BYTES)
    return buffered


# --- CSV ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Csv:
    """A CSV file that was recognised: its entity, the columns' names, the lines up to them, its text from the start."""

    entity: Entity
    header: list[str]
    header_lines: int
    text: _Utf8


def text_of(stream: IO[bytes], contract: Contract) -> tuple[Entity, int, IO[str]]:
    """A file's entity, how many lines reach to its header, and its text. Errors: DocumentRefused, as open_document."""
    found = _recognised(_unzipped(stream), contract)
    return found.entity, found.header_lines, io.TextIOWrapper(io.BufferedReader(found.text), "utf-8", newline="")


def _open_csv(stream: IO[bytes], contract: Contract, chunk_rows: int) -> Opened:
    found = _recognised(stream, contract)
    entity, header = found.entity, found.header
    missing = [n for value in entity.columns.values() if value.required for n in value.received if n not in header]
    if missing:
        raise DocumentRefused(f"column {', '.join(missing)} is missing from the header")
    unknown = [name for name in header if not name.startswith("#") and name not in entity.known_columns]
    if unknown and entity.unknown_columns == "freeze":
        raise DocumentRefused(f"column {', '.join(unknown)} is unknown, and the contract says freeze")
    return Opened(entity, unknown, _read_csv(found, chunk_rows), found.header_lines)


def _recognised(stream: IO[bytes], contract: Contract) -> _Csv:
    layouts = _layouts(contract)
    head = _peek(stream)
    if is_workbook(head):
        stream = saved_as_csv(stream, contract)
        head = _peek(stream)
    _refuse_other_kinds(head)
    bom, encoding = _encoding_of(stream, head, layouts, contract.source)
    header, header_lines = _read_header(head[len(bom) :], encoding, layouts)
    entity = contract.entity_of_header(header)
    if entity is None:
        expected = " or ".join(", ".join(e.recognised_by) for e in layouts)
        raise DocumentRefused(
            f"the header ({_shown(header)}) is of no layout that {contract.source} knows; expected columns: {expected}"
        )
    stream.read(len(bom))
    return _Csv(entity, header, header_lines, _Utf8(stream, encoding))


def _layouts(contract: Contract) -> list[Entity]:
    if layouts := [entity for entity in contract.entities if entity.format == "csv"]:
        return layouts
    raise DocumentRefused(f"{contract.source} takes no files; its records come from its API")


def saved_as_csv(stream: IO[bytes], contract: Contract) -> IO[bytes]:
    """
    A workbook as the CSV its source would send.

    Errors: DocumentRefused, also when the source writes its files in several ways.
    """
    [(delimiter, mark), *others] = {(entity.delimiter, entity.decimal_mark) for entity in _layouts(contract)}
    if others:
        raise DocumentRefused(
            "the file is an Excel workbook, and its source writes files in several ways; save it as CSV"
        )
    return as_csv(stream, delimiter, mark)


def _shown(header: list[str]) -> str:
    """The first names of a header, in one line."""
    return " ".join(f"{', '.join(header[:6])}{', ...' if len(header) > 6 else ''}".split())


def _peek(stream: IO[bytes]) -> bytes:
    head: bytes = stream.peek(HEAD_BYTES)  # type: ignore[attr-defined]  # _unzipped gives a BufferedReader
    if not head:
        raise DocumentRefused("the file is empty")
    return head


def _refuse_other_kinds(head: bytes) -> None:
    for signature, kind in SIGNATURES:
        if head.startswith(signature):
            raise DocumentRefused(f"the file is {kind}")
    if re.match(rb"\s*<(!doctype|html|head|body)", head[:200].lower()):
        raise DocumentRefused("the file is a web page (HTML), not an export")


def _encoding_of(stream: IO[bytes], head: bytes, layouts: list[Entity], source: str) -> tuple[bytes, str]:
    """The byte order mark (may be empty) and the encoding: as the mark says, else the first that reads all of it."""
    for mark, name in BOMS:
        if head.startswith(mark):
            if b"\x00" in head and "16" not in name:
                raise DocumentRefused("the file holds zero bytes, so it is no text file")
            return mark, name
    if b"\x00" in head:
        raise DocumentRefused("the file holds zero bytes, so it is no text file (or UTF-16 without its mark)")
    candidates = list(dict.fromkeys(encoding for entity in layouts for encoding in entity.encodings))
    if len(candidates) == 1 and _fits(io.BytesIO(head), candidates[0]):
        return b"", candidates[0]
    for encoding in candidates if len(candidates) > 1 else []:
        try:
            if _fits(stream, encoding):
                return b"", encoding
        finally:
            stream.seek(0)
    raise DocumentRefused(
        f"the file is not {' or '.join(candidates)}; if it comes from an older Windows program, "
        f'add encodings = ["utf-8", "cp1252"] to the entity in {source}.toml'
    )


def _fits(stream: IO[bytes], encoding: str) -> bool:
    """
    Whether a stream can be read in an encoding; a last letter that is cut off counts as read.

    Errors: DocumentRefused when UTF-8 stops in the middle of a file that has letters in it: another encoding would
    read such a file to its end, and give wrong letters.
    """
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    has_letters = False
    read = 0
    try:
        while block := stream.read(BLOCK_BYTES):
            has_letters |= not decoder.decode(block).isascii()
            read += len(block)
    except UnicodeDecodeError as error:
        if encoding == "utf-8" and (has_letters or not error.object[: error.start].isascii()):
            raise DocumentRefused(f"the file is not utf-8 throughout (near byte {read + error.start})") from None
        return False
    return True


def _read_header(head: bytes, encoding: str, layouts: list[Entity]) -> tuple[list[str], int]:
    """The header's names, made unique, and the line it ends on; where no row is one, the first row as it is."""
    try:
        text = codecs.getincrementaldecoder(encoding)("strict").decode(head)
    except UnicodeDecodeError as error:
        raise DocumentRefused(f"the file is not {encoding} throughout (near byte {error.start})") from None
    first: list[str] | None = None
    for delimiter in dict.fromkeys(entity.delimiter for entity in layouts):
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        expected = [set(e.recognised_by) for e in layouts if e.delimiter == delimiter and e.recognised_by]
        try:
            for names in map(_unique, islice(reader, HEADER_ROWS)):
                if any(told <= set(names) for told in expected):
                    return names, reader.line_num
                first = first or names
        except csv.Error as error:
            raise DocumentRefused(f"the header can't be read: {error}") from None
    return first or [], 1


def _unique(names: list[str]) -> list[str]:
    """Column names, the unnamed and the repeated ones told apart by their place."""
    seen: set[str] = set()
    unique = []
    for place, name in enumerate((n.strip() for n in names), start=1):
        own = name if name and name not in seen and not name.startswith("#") else f"#{place} {name}".strip()
        seen.add(own)
        unique.append(own)
    return unique


def _read_csv(csv_file: _Csv, chunk_rows: int) -> Generator[Chunk, None, None]:
    text, header, entity = csv_file.text, csv_file.header, csv_file.entity
    try:
        reader = arrow_csv.open_csv(
            text,
            read_options=arrow_csv.ReadOptions(
                column_names=header, skip_rows=csv_file.header_lines, block_size=8 * 2**20, use_threads=False
            ),
            parse_options=arrow_csv.ParseOptions(delimiter=entity.delimiter, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False, check_utf8=False
            ),
        )
        position = 1
        tables = _rechunked(reader, chunk_rows)
        if entity.needs_whole_receipts:
            tables = whole_receipts(tables, entity.columns["receipt_number"].received)
        for table in tables:
            yield _csv_chunk(table, position, entity)
            position += table.num_rows
    except pa.ArrowInvalid as error:
        text.raise_own_fault()
        if "Could not skip initial" in str(error) or "Empty CSV" in str(error):
            return  # a header and no rows: a day without sales
        raise DocumentRefused(_plain_parse_error(str(error))) from None
    except StopIteration:
        return
    if text.open_quote:
        raise DocumentRefused("the file ends inside a quoted cell, so it was cut off")


def _plain_parse_error(message: str) -> str:
    """One sentence for a layout fault, without the row's content."""
    found = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", message)
    if found:
        row, expected, got = found.groups()
        return f"row {row} has {got} cells where the header has {expected}, so the file is cut off or of another layout"
    found = re.search(r"Expected (\d+) columns, got (\d+)", message)
    if found:
        return (
            f"a row has {found[2]} cells where the header has {found[1]}, so the file is cut off or of another layout"
        )
    return f"the file can't be split into rows: {message.splitlines()[0][:120]}"


def _rechunked(reader: Any, chunk_rows: int) -> Iterator[pa.Table]:
    """Batches of at least chunk_rows rows, the last one smaller: fewer, larger COPYs."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in reader:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= chunk_rows:
            yield pa.Table.from_batches(waiting).combine_chunks()
            waiting, rows = [], 0
    if rows:
        yield pa.Table.from_batches(waiting).combine_chunks()


def _csv_chunk(table: pa.Table, first_position: int, entity: Entity) -> Chunk:
    """Rows as records; one without anything in any cell, as spreadsheets append, is none and keeps its place."""
    names = table.column_names
    positions = list(range(first_position, first_position + table.num_rows))
    if (filled := filled_rows(table)) is not None:
        table = table.filter(filled)
        positions = list(compress(positions, filled.to_pylist()))
    id_columns = [table[name] for name in entity.record_id if name in names]
    record_ids: list[str | None] = (
        pc.binary_join_element_wise(*id_columns, "/").to_pylist() if id_columns else [None] * len(positions)
    )
    frame = table.to_pandas(types_mapper=lambda _: TEXT)
    frame[POSITION] = pd.array(positions, dtype="int64")
    return Chunk(positions, json_objects(table).to_pylist(), record_ids, frame)


def filled_rows(table: pa.Table) -> pa.ChunkedArray | None:
    """Which rows of texts hold anything; None where all do, which the first column mostly shows."""
    empty: Any = pa.scalar(True)
    for column in table.columns:
        empty = pc.and_(pc.equal(column, ""), empty)
        if not pc.any(empty).as_py():
            return None
    return pc.invert(empty)


def json_objects(table: pa.Table) -> pa.ChunkedArray:
    """
    Each row of texts as a JSON object, as orjson writes it, in UTF-8.

    Joined column by column, in Arrow's memory. Made row by row, each chunk of 27,000 rows took 890,000 Python strings,
    freed between payloads that live on: the heap became holes, and a run of any length held 1.1 GiB (now about half).
    """
    parts: list[Any] = []
    for place, name in enumerate(table.column_names):
        before = b"{" if place == 0 else b'",'
        parts += [pa.scalar(before + orjson.dumps(name) + b':"', pa.binary()), _json_texts(table[name])]
    return pc.binary_join_element_wise(*parts, pa.scalar(b'"}', pa.binary()), pa.scalar(b"", pa.binary()))


def _json_texts(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """The inside of each text's JSON string: the text itself, but for the few that hold a sign JSON escapes."""
    if pc.any(pc.match_substring_regex(texts, r'["\\\x00-\x1f]')).as_py():
        encoded = texts.combine_chunks().dictionary_encode()
        spelled = pa.array([orjson.dumps(text)[1:-1] for text in encoded.dictionary.to_pylist()], pa.binary())
        return spelled.take(encoded.indices)
    return texts.cast(pa.binary())


class _Utf8(io.RawIOBase):
    """A readable stream of UTF-8 made from a stream in another encoding, which must fit all of it."""

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        self._ready = b""
        self._fault: str | None = None
        self._quotes = 0
        self._read = 0

    @property
    def open_quote(self) -> bool:
        """Whether the number of quote signs so far is odd: the end lies inside a quoted cell."""
        return self._quotes % 2 == 1

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            received = self._stream.read(BLOCK_BYTES)
            try:
                text = self._decoder.decode(received, final=not received)
            except UnicodeDecodeError as error:
                self._fault = f"the file is not {self._encoding} throughout (near byte {self._read + error.start})"
                raise pa.ArrowInvalid(self._fault) from None
            self._read += len(received)
            self._ready = text.encode("utf-8")
            if not received and not self._ready:
                return 0
            if b"\x00" in self._ready:
                self._fault = "the file holds zero bytes, so it is no text file"
                raise pa.ArrowInvalid(self._fault)
            self._quotes += self._ready.count(b'"')
        taken = min(len(buffer), len(self._ready))
        buffer[:taken] = self._ready[:taken]
        self._ready = self._ready[taken:]
        return taken

    def raise_own_fault(self) -> None:
        if self._fault:
            raise DocumentRefused(self._fault)


# --- JSON and XML ------------------------------------------------------------------------------------------


def read_json(content: bytes, entity: Entity, chunk_rows: int) -> Generator[Chunk, None, None]:
    """Records of a JSON response. Numbers with a point stay the text that came: no amount becomes a float."""
    try:
        body = json.loads(content, parse_float=str, parse_int=_exact, parse_constant=_no_number)
    except ValueError:
        raise DocumentRefused("the response is not JSON") from None
    except RecursionError:
        raise DocumentRefused("the response is nested too deep") from None
    records = body.get(entity.records) if isinstance(body, dict) and entity.records else body
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        raise DocumentRefused(f"the response has no list {entity.records!r} of records")
    yield from _object_chunks(records, entity, chunk_rows)


def _exact(digits: str) -> int | str:
    return int(digits) if len(digits) <= EXACT_DIGITS else digits


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def read_xml(content: bytes, entity: Entity, chunk_rows: int) -> Generator[Chunk, None, None]:
    """Records of an XML response: attributes and leaf children are values, repeated children lists."""
    try:
        root = ElementTree.fromstring(content)
        if str(root.tag).rpartition("}")[2].lower() == "html":
            raise DocumentRefused("the response is a web page (HTML)")
        records = [_element(element) for element in root.iter(entity.records)]
    except (ElementTree.ParseError, ValueError, LookupError):
        raise DocumentRefused("the response is not well-formed XML") from None
    except RecursionError:
        raise DocumentRefused("the response is nested too deep") from None
    yield from _object_chunks(records, entity, chunk_rows)


def _element(element: Any) -> dict[str, Any]:
    """An XML element as an object; a child element always becomes a list under its name, text stands under #text."""
    value: dict[str, Any] = dict(element.attrib)
    for child in element:
        inner = _element(child) if len(child) or child.attrib else (child.text or "")
        if isinstance(value.get(child.tag), str):
            value[child.tag] = [value[child.tag]]  # an attribute of the same name
        value.setdefault(child.tag, []).append(inner)
    if text := (element.text or "").strip():
        value["#text"] = text
    return value


def _object_chunks(records: list[dict[str, Any]], entity: Entity, chunk_rows: int) -> Generator[Chunk, None, None]:
    for start in range(0, len(records), chunk_rows):
        part = records[start : start + chunk_rows]
        payloads = [_payload(record) for record in part]
        positions = list(range(start + 1, start + 1 + len(part)))
        rows = [
            {**row, POSITION: position}
            for position, record in zip(positions, part, strict=True)
            for row in _rows_of(record, entity)
        ]
        ids = [_joined(flatten(record), entity.record_id) for record in part]
        yield Chunk(positions, payloads, ids, _text_frame(rows))


def _payload(record: dict[str, Any]) -> bytes:
    try:
        payload = orjson.dumps(record)
    except TypeError as error:
        if "surrogates" in str(error):
            raise DocumentRefused("the response holds half a character inside a text") from None
        raise DocumentRefused("the response is nested too deep") from None
    if ZERO_CHARACTER.search(payload):
        raise DocumentRefused("the response holds zero characters inside a text")
    return payload


def _text_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    texts = [name for name in frame.columns if name != POSITION]
    return frame.astype(dict.fromkeys(texts, TEXT)) if rows else pd.DataFrame({POSITION: pd.array([], dtype="int64")})


def _rows_of(record: dict[str, Any], entity: Entity) -> Iterator[dict[str, str | None]]:
    """
    One row per item of the exploded list (sold, then returned), each with the record's own values.

    A record without items gives a row all the same, whose missing item values get it rejected.
    """
    if not entity.explode:
        yield flatten(record)
        return
    own = flatten({k: v for k, v in record.items() if k not in (entity.explode, entity.returns)})
    rows = [own | _named(item, entity.explode) for item in _objects(record, entity.explode)]
    for returned in _objects(record, entity.returns):
        head = {f"{entity.returns}.{k}": v for k, v in flatten(returned).items() if not k.startswith("return_")}
        rows += [own | head | _named(item, entity.explode) for item in _objects(returned, "return_line_items")]
    yield from rows or [own]


def _named(item: dict[str, Any], prefix: str) -> dict[str, str | None]:
    return {f"{prefix}.{name}": value for name, value in flatten(item).items()}


def _objects(record: dict[str, Any], name: str | None) -> list[dict[str, Any]]:
    """A list of objects inside a record; none when it is anything else."""
    found = record.get(name) if name else None
    return found if isinstance(found, list) and all(isinstance(item, dict) for item in found) else []


def flatten(record: dict[str, Any], prefix: str = "") -> dict[str, str | None]:
    """
    An object's values as texts under dotted names; the first item of a list of objects under name.0.

    Lists of plain values are joined by ";", true and false are spelled so, null stays null.
    """
    flat: dict[str, str | None] = {}
    for key, value in record.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            flat.update(flatten(value, f"{name}."))
        elif isinstance(value, list):
            if value and isinstance(value[0], dict):
                flat.update(flatten(value[0], f"{name}.0."))
            else:
                flat[name] = ";".join(str(item) for item in value) or None
        elif isinstance(value, bool):
            flat[name] = "true" if value else "false"
        else:
            flat[name] = None if value is None else str(value)
    return flat


def _joined(row: dict[str, str | None], names: list[str]) -> str | None:
    parts = [row.get(name) for name in names]
    return "/".join(part for part in parts if part) or None
