"""
One load: its documents split into raw records, formatted, staged for core; its rejects written down.

Comes in: a received load. Goes out: raw_<system>.<entity> rows, a Parquet file per entity, stage_<kind> rows, rejects.
Everything happens in the caller's transaction, so a load is in whole or not at all.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection  # the driver's own name is too plain
from pyarrow import parquet

from panpan.errors import DocumentRefused
from panpan.settings import Settings
from transforms.contract import Contract, Entity
from transforms.distributed import FormatChunks, formatting
from transforms.documents import HEAD_BYTES, Chunk, open_document
from transforms.formatted.records import Formatted
from transforms.stage import COPY_BYTES, copy_table, copying_aside

RAW_IDS_PER_DOCUMENT = 100_000_000


@dataclass(frozen=True)
class Load:
    """A received load, as the worker picks it up."""

    load_id: int
    source: str
    file_name: str | None
    is_released: bool = False  # somebody let it in despite the check that held it back


@dataclass(frozen=True)
class Document:
    """A received document: its bytes are in the database, or in a file of the archive."""

    document_id: int
    entity: str | None
    name: str
    content: bytes | None
    stored_path: str | None
    sha256: bytes


@dataclass
class Taken:
    """What a load gave: counts, and the profile of its values before any was refused."""

    records: int = 0
    rows: int = 0
    rejects: int = 0
    unknown_columns: list[str] = field(default_factory=list)
    newest_record_at: datetime | None = None
    profile: dict[str, dict[str, Any]] = field(default_factory=dict)
    parquet_files: list[tuple[Path, Path]] = field(default_factory=list)

    def see_newest(self, rows: pa.Table) -> None:
        """Remember the latest moment a record speaks of: freshness is judged by it, not by the scheduler."""
        for name in ("sold_at", "updated_at", "counted_at", "moved_at", "delivered_at"):
            if name in rows.column_names and (newest := pc.max(rows[name]).as_py()):
                self.newest_record_at = max(newest, self.newest_record_at or newest)

    def add_profile(self, found: dict[str, dict[str, Any]]) -> None:
        """Add a chunk's counts and sums."""
        for name, figures in found.items():
            known = self.profile.setdefault(name, {"rows": 0, "net_amount": "0.00"})
            known["rows"] += figures["rows"]
            known["net_amount"] = str(Decimal(known["net_amount"]) + Decimal(figures["net_amount"]))


def take_load(connection: PgConnection, load: Load, contract: Contract, settings: Settings) -> Taken:
    """
    Split, type and stage every document of a load.

    Errors: DocumentRefused when a document can't be read as a whole; the caller rolls the load back then.
    """
    taken = Taken()
    with (
        formatting(contract, settings.dask_scheduler) as format_chunks,
        _parquet_writers(settings, load, taken) as write_parquet,
        connection.cursor() as cursor,
    ):
        cursor.execute("create temporary table stage_rejects (like ops.rejects) on commit drop")
        cursor.execute("alter table stage_rejects drop reject_id, drop rejected_at, drop resolved_at")
        for document in documents_of(connection, load, contract):
            _take_document(connection, document, load, contract, settings, taken, format_chunks, write_parquet)
        _keep_rejects(connection, load)
        cursor.execute("drop table stage_rejects")
    return taken


def documents_of(connection: PgConnection, load: Load, contract: Contract) -> Iterator[Document]:
    """A load's documents in the order received, one at a time in memory."""
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("select document_id from {} where load_id = %s order by document_id").format(
                _raw_table(contract, "documents")
            ),
            (load.load_id,),
        )
        ids = [document_id for (document_id,) in cursor.fetchall()]
    for document_id in ids:
        with connection.cursor() as cursor:
            cursor.execute(
                sql.SQL(
                    "select document_id, entity, name, content, stored_path, sha256 from {} where document_id = %s"
                ).format(_raw_table(contract, "documents")),
                (document_id,),
            )
            [(number, entity, name, content, stored_path, sha256)] = cursor.fetchall()
        yield Document(
            number, entity, name, bytes(content) if content is not None else None, stored_path, bytes(sha256)
        )


def _take_document(
    connection: PgConnection,
    document: Document,
    load: Load,
    contract: Contract,
    settings: Settings,
    taken: Taken,
    format_chunks: FormatChunks,
    write_parquet: Any,
) -> None:
    with _stream(document, settings) as stream:
        opened = open_document(stream, contract, document.entity, settings.batch_rows)
        entity = opened.entity
        taken.unknown_columns = sorted({*taken.unknown_columns, *opened.unknown_columns})
        known = _split_before(connection, document, contract, entity)
        taken.records += known
        with copying_aside() as later, closing(opened.chunks) as chunks:
            for chunk, formatted in format_chunks(chunks, entity):
                if not known:
                    later(partial(_copy_raw, connection, chunk, document, load, contract, entity))
                    taken.records += len(chunk.positions)
                rows = _with_lineage(formatted.rows, document, load)
                later(partial(_stage, connection, rows, formatted, chunk, document, load, entity))
                write_parquet(entity, rows)
                taken.rows += rows.num_rows
                taken.rejects += len(formatted.rejects)
                taken.see_newest(rows)
                taken.add_profile(formatted.profile)


def _stage(
    connection: PgConnection,
    rows: pa.Table,
    formatted: Formatted,
    chunk: Chunk,
    document: Document,
    load: Load,
    entity: Entity,
) -> None:
    copy_table(connection, f"stage_{entity.kind}", rows)
    _stage_rejects(connection, formatted, chunk, document, load, entity)


@contextmanager
def _stream(document: Document, settings: Settings) -> Iterator[IO[bytes]]:
    """The document's bytes as a stream; an archived file is checked against its sha256 first."""
    if document.content is not None:
        yield io.BytesIO(document.content)
        return
    with _checked(settings.home / str(document.stored_path), document) as stream:
        yield stream


def _checked(path: Path, document: Document) -> IO[bytes]:
    """The archived file, opened; errors of what is done with it later are not its own."""
    try:
        stream = path.open("rb", buffering=HEAD_BYTES)
        digest = hashlib.file_digest(stream, "sha256").digest()  # type: ignore[arg-type]  # a buffered reader
        stream.seek(0)
    except OSError as error:
        reason = f"{document.name} can't be read from {document.stored_path}: {error.strerror}"
        raise DocumentRefused(reason) from error
    if digest != document.sha256:
        stream.close()
        raise DocumentRefused(f"{document.name} was changed after it was registered (sha256 differs)")
    return stream


def _raw_table(contract: Contract, name: str) -> sql.Identifier:
    return sql.Identifier(f"raw_{contract.system}", name)


def raw_id(document: Document, position: int) -> int:
    """The id of a record: of its document and its place in it, so that it is the same whenever it is split."""
    return document.document_id * RAW_IDS_PER_DOCUMENT + position


def _split_before(connection: PgConnection, document: Document, contract: Contract, entity: Entity) -> int:
    """How many of the document's records are in raw already (a replay): all that it was split into, or none."""
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("select count(*) from {} where raw_id between %s and %s").format(
                _raw_table(contract, entity.entity)
            ),
            (raw_id(document, 1), raw_id(document, RAW_IDS_PER_DOCUMENT - 1)),
        )
        [(count,)] = cursor.fetchall()
        return int(count)


def _copy_raw(
    connection: PgConnection, chunk: Chunk, document: Document, load: Load, contract: Contract, entity: Entity
) -> None:
    """COPY a chunk's records as received."""
    if not chunk.positions:
        return
    statement = sql.SQL(
        "copy {} (raw_id, document_id, load_id, position, source_record_id, payload, payload_hash) "
        "from stdin (format binary)"
    ).format(_raw_table(contract, entity.entity))
    with connection.cursor() as cursor:
        cursor.copy_expert(statement, io.BytesIO(_copy_bytes(chunk, document, load)), COPY_BYTES)


# One row of a binary COPY up to its first text: how many columns, then each one's length and value.
_NUMBERS = np.dtype(
    [("columns", ">i2")]
    + [
        (f"{part}{name}", kind)
        for name in ("raw_id", "document_id", "load_id")
        for part, kind in (("", ">i4"), ("=", ">i8"))
    ]
    + [("position", ">i4"), ("=position", ">i4"), ("record_id", ">i4")]
)
_JSONB = np.dtype([("payload", ">i4"), ("version", "u1")])
_SHA256 = np.dtype([("payload_hash", ">i4"), ("=payload_hash", "V32")])
_BYTES = pa.large_binary()  # a chunk may hold more than 2 GiB of payload


def _copy_bytes(chunk: Chunk, document: Document, load: Load) -> bytes:
    """A chunk's records in COPY's binary form: no sign to escape, and no line of text to put together for each."""
    payloads = pa.array(chunk.payloads, _BYTES)
    record_ids = _one_line(pa.array(chunk.record_ids, pa.string()))
    numbers = np.zeros(len(chunk.positions), _NUMBERS)
    positions = np.array(chunk.positions, np.int64)
    numbers["columns"] = 7
    for name, values in (
        ("raw_id", positions + document.document_id * RAW_IDS_PER_DOCUMENT),
        ("document_id", document.document_id),
        ("load_id", load.load_id),
    ):
        numbers[name], numbers[f"={name}"] = 8, values
    numbers["position"], numbers["=position"] = 4, positions
    numbers["record_id"] = pc.fill_null(pc.binary_length(record_ids), -1)  # -1 is null
    jsonb = np.ones(len(numbers), _JSONB)
    jsonb["payload"] = pc.add(pc.binary_length(payloads), 1)
    hashes = np.empty(len(numbers), _SHA256)
    hashes["payload_hash"] = 32
    hashes["=payload_hash"] = np.frombuffer(b"".join(hashlib.sha256(p).digest() for p in chunk.payloads), "V32")
    texts = pc.fill_null(record_ids.cast(_BYTES), b"")
    rows = pc.binary_join_element_wise(
        _as_bytes(numbers), texts, _as_bytes(jsonb), payloads, _as_bytes(hashes), pa.scalar(b"", _BYTES)
    )
    content: bytes = rows.buffers()[2].to_pybytes()
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + content + b"\xff\xff"


def _as_bytes(rows: np.ndarray[Any, Any]) -> pa.Array:
    kind = pa.binary(rows.dtype.itemsize)
    return pa.FixedSizeBinaryArray.from_buffers(kind, len(rows), [None, pa.py_buffer(rows)]).cast(_BYTES)


def _one_line(texts: pa.Array) -> pa.Array:
    """Record ids in one line; an empty one is none."""
    single = pc.replace_substring_regex(texts, r"[\t\n\r]", " ")
    return pc.if_else(pc.equal(single, ""), None, single)


def _with_lineage(rows: pa.Table, document: Document, load: Load) -> pa.Table:
    """The rows with raw_id, document_id and load_id in place of their position."""
    first = pa.scalar(document.document_id * RAW_IDS_PER_DOCUMENT, pa.int64())
    count = rows.num_rows
    raw_ids = pc.add(rows["position"], first) if count else pa.array([], pa.int64())
    own = rows.drop_columns(["position"])
    for place, (name, values) in enumerate(
        (
            ("raw_id", raw_ids),
            ("document_id", pa.repeat(pa.scalar(document.document_id, pa.int64()), count)),
            ("load_id", pa.repeat(pa.scalar(load.load_id, pa.int64()), count)),
        )
    ):
        own = own.add_column(place, name, values)
    return own


def _stage_rejects(
    connection: PgConnection,
    formatted: Formatted,
    chunk: Chunk,
    document: Document,
    load: Load,
    entity: Entity,
) -> None:
    rejects = formatted.rejects
    if rejects.empty:
        return
    payload_of = dict(zip(chunk.positions, chunk.payloads, strict=True))
    positions = [int(position) for position in rejects["position"]]
    table = pa.table(
        {
            "raw_id": pa.array([raw_id(document, position) for position in positions], pa.int64()),
            "load_id": pa.repeat(pa.scalar(load.load_id, pa.int64()), len(positions)),
            "source": pa.repeat(load.source, len(positions)),
            "entity": pa.repeat(entity.entity, len(positions)),
            "reason": _texts(rejects["reason"]),
            "column_name": _texts(rejects["column_name"]),
            "received_value": _texts(rejects["received_value"]),
            "payload": pa.array([payload_of[position].decode() for position in positions], pa.string()),
        }
    )
    copy_table(connection, "stage_rejects", table)


def _texts(values: pd.Series[Any]) -> pa.Array:
    return pa.array([None if pd.isna(value) else str(value) for value in values], pa.string())


def _keep_rejects(connection: PgConnection, load: Load) -> None:
    """Write the load's rejects; one that a replay no longer finds is resolved, never deleted."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            insert into ops.rejects as kept
                (raw_id, load_id, source, entity, reason, column_name, received_value, payload)
            select raw_id, load_id, source, entity, reason, column_name, received_value, payload
            from stage_rejects
            on conflict (raw_id, entity) do update
            set reason = excluded.reason, column_name = excluded.column_name,
                received_value = excluded.received_value, resolved_at = null
            """
        )
        cursor.execute(
            """
            update ops.rejects as kept set resolved_at = now()
            where kept.load_id = %s and kept.resolved_at is null
            and not exists (
                select from stage_rejects as found
                where found.raw_id = kept.raw_id and found.entity = kept.entity
            )
            """,
            (load.load_id,),
        )


@contextmanager
def _parquet_writers(settings: Settings, load: Load, taken: Taken) -> Iterator[Any]:
    """
    One Parquet file per entity of the load, under a temporary name until the caller publishes it.

    The finished names are left in taken.parquet_files, to be renamed after the transaction's last statement.
    """
    writers: dict[str, parquet.ParquetWriter] = {}

    def write(entity: Entity, rows: pa.Table) -> None:
        if entity.entity not in writers:
            folder = settings.formatted / load.source / entity.entity
            folder.mkdir(parents=True, exist_ok=True)
            final = folder / f"load_{load.load_id}.parquet"
            part = final.with_suffix(".part")
            writers[entity.entity] = parquet.ParquetWriter(part, rows.schema, compression="zstd")
            taken.parquet_files.append((part, final))
        writers[entity.entity].write_table(rows)

    try:
        yield write
    except BaseException:
        for part, _ in taken.parquet_files:
            part.unlink(missing_ok=True)
        raise
    finally:
        for writer in writers.values():
            writer.close()
