"""
Raw records and where they came in: document, load, file and line or place in a response, n8n execution.

Comes in: ids of raw records, as a temporary table or a list. Goes out: totals by document, the records, one record.
A raw_id holds its document and position, so nothing is looked up per record.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import IO, Any, cast

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection
from psycopg2.extras import RealDictCursor

from panpan.errors import DocumentRefused, UsageError
from panpan.settings import Settings
from transforms.contract import Entity, load_contracts
from transforms.documents import text_of
from transforms.intake import RAW_IDS_PER_DOCUMENT

SYSTEMS = ("pos", "crm", "inventory")
BLOCK_BYTES = 2**20
# A quotation mark, or two line ends with nothing between, in UTF-16 too.
QUOTED_OR_EMPTY = re.compile(rb'"|\n\x00?(\r\x00?)?\n|\r\x00?\r')
DOCUMENTS = " union all ".join(
    f"select '{system}' as system, document_id, load_id, entity, name, received_at from raw_{system}.documents"  # noqa: S608  # our own names
    for system in SYSTEMS
)


@dataclass(frozen=True)
class Document:
    """A file or response page that records came in, and how many of those asked for are in it."""

    document_id: int
    system: str
    load_id: int
    source: str
    file: str
    entity: str | None  # null: a file, told by its header
    received_at: datetime
    workflow: str | None
    execution_id: str | None
    records: int


@dataclass(frozen=True)
class RawRecord:
    """One record as received: payload, what it is, and the document it came in."""

    raw_id: int
    line: int
    payload: dict[str, Any]
    source_record_id: str | None
    entity: Entity
    document: Document


def documents_of(connection: PgConnection, raw_ids: str) -> list[Document]:
    """
    The documents the records of a temporary table (column raw_id) came in, in the order received.

    Errors: none; a record whose document is gone is not counted.
    """
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            sql.SQL(
                """
                select document.document_id, document.system, document.load_id, load.source, document.name as file,
                    document.entity, document.received_at, load.workflow, load.execution_id, cited.records
                from (
                    select raw_id / {per_document} as document_id, count(*) as records from {cited} group by 1
                ) as cited
                inner join ({documents}) as document using (document_id)
                inner join ops.loads as load using (load_id)
                order by document.document_id
                """
            ).format(
                per_document=sql.Literal(RAW_IDS_PER_DOCUMENT),
                cited=sql.Identifier(raw_ids),
                documents=sql.SQL(DOCUMENTS),
            )
        )
        return [Document(**row) for row in cursor.fetchall()]


def describe(
    connection: PgConnection, settings: Settings, raw_ids: Sequence[int], documents: Iterable[Document]
) -> list[dict[str, Any]]:
    """
    Where records came from: raw_id, load_id, source, file (or request), line, execution_id; in the order given.

    line: the line of the file; for a response the place of the record in it.
    """
    of_document: dict[int, list[int]] = defaultdict(list)
    for raw_id in raw_ids:
        of_document[raw_id // RAW_IDS_PER_DOCUMENT].append(raw_id % RAW_IDS_PER_DOCUMENT)
    known = {document.document_id: document for document in documents}
    line_of = {
        (number, place): line
        for number, places in of_document.items()
        if number in known
        for place, line in zip(places, lines(connection, settings, known[number], places), strict=True)
    }
    return [
        {
            "raw_id": raw_id,
            "load_id": known[number].load_id,
            "source": known[number].source,
            "file": known[number].file,
            "line": line_of[number, place],
            "execution_id": known[number].execution_id,
        }
        for raw_id in raw_ids
        for number, place in [divmod(raw_id, RAW_IDS_PER_DOCUMENT)]
        if number in known
    ]


def read_record(connection: PgConnection, settings: Settings, raw_id: int) -> RawRecord:
    """One raw record. Errors: UsageError when there is none."""
    place = raw_id % RAW_IDS_PER_DOCUMENT
    with connection.cursor() as cursor:
        cursor.execute("create temporary table asked_record on commit drop as select %s::bigint as raw_id", (raw_id,))
    for document in documents_of(connection, "asked_record"):
        contract = load_contracts(settings.own_contracts)[document.source]
        for entity in contract.entities:
            found = _payload(connection, document, entity, raw_id)
            if found and document.entity in (None, entity.entity):
                [line] = lines(connection, settings, document, [place])
                return RawRecord(raw_id, line, found[0], found[1], entity, document)
    raise UsageError(f"there is no raw record {raw_id}", next="panpan trace ... names the records of a figure")


def _payload(
    connection: PgConnection, document: Document, entity: Entity, raw_id: int
) -> tuple[dict[str, Any], str | None] | None:
    table = sql.Identifier(f"raw_{document.system}", entity.entity)
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("select payload, source_record_id from {} where raw_id = %s").format(table), (raw_id,))
        found: tuple[dict[str, Any], str | None] | None = cursor.fetchone()
    return found


# --- lines of files ------------------------------------------------------------------------------------------


def lines(connection: PgConnection, settings: Settings, document: Document, places: Sequence[int]) -> list[int]:
    """The lines records begin on (rows of a workbook's sheet), counted where need be; in a response their places."""
    if document.entity is not None:
        return list(places)
    contract = load_contracts(settings.own_contracts)[document.source]
    table = sql.Identifier(f"raw_{document.system}", "documents")
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("select content, stored_path from {} where document_id = %s").format(table),
            (document.document_id,),
        )
        [(content, stored_path)] = cursor.fetchall()

    def opened() -> IO[bytes]:
        return io.BytesIO(content) if content is not None else (settings.home / stored_path).open("rb")

    with opened() as stream:
        try:
            entity, header_lines, text = text_of(stream, contract)
        except DocumentRefused:  # the contract of today does not know it any more
            return [place + 1 for place in places]
        with opened() as received:
            if _has_a_line_for_each(received):
                return [place + header_lines for place in places]
        return _counted_lines(text, entity.delimiter, header_lines, places)


def _has_a_line_for_each(stream: IO[bytes]) -> bool:
    """Whether each line of a plain text is a row: no cell is quoted, so none holds a line end, and no line is empty."""
    end = stream.read(2)
    if end == b"\x1f\x8b":
        stream.seek(0)
        return _has_a_line_for_each(cast(IO[bytes], gzip.GzipFile(fileobj=stream)))
    if end == b"PK":
        return False
    while block := stream.read(BLOCK_BYTES):
        if QUOTED_OR_EMPTY.search(end + block):
            return False
        end = block[-4:]
    return True


def _counted_lines(text: IO[str], delimiter: str, header_lines: int, places: Sequence[int]) -> list[int]:
    begins: dict[int, int] = {}
    last = max(places, default=0)
    rows = (begin for begin in _beginnings(text, delimiter) if begin > header_lines)
    for place, begin in enumerate(islice(rows, last), start=1):
        begins[place] = begin
    return [begins.get(place, place + header_lines) for place in places]


def _beginnings(text: Iterable[str], delimiter: str) -> Iterator[int]:
    """The line each filled row begins on: the splitter passes over empty lines too."""
    reader = csv.reader(text, delimiter=delimiter)
    begin = 1
    for row in reader:
        if row:
            yield begin
        begin = reader.line_num + 1
