"""
Received documents without the persons that were erased, in every place a document is kept.

Comes in: persons as salted hashes, a source or some of its loads. Goes out: emptied documents, raw records, rejects,
archived and typed files. Only the owner may change what was received, and only here.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection  # the driver's own names are too plain
from psycopg2.extensions import cursor as PgCursor
from pyarrow import parquet

from db.connection import connect
from panpan.errors import DocumentRefused
from panpan.settings import Settings
from transforms.contract import Contract
from transforms.intake import RAW_IDS_PER_DOCUMENT
from transforms.masking import ABOUT_PEOPLE
from transforms.personal import PERSONAL_COLUMNS, Keys, Redacted, redact


@dataclass
class Emptied:
    """What was emptied: counts of documents, records, files; the values that stood there."""

    counts: Counter[str] = field(default_factory=Counter)
    values: set[str] = field(default_factory=set)


def redact_arrivals(settings: Settings, contract: Contract, load_ids: Iterable[int]) -> int:
    """Empty the records of erased persons in loads that have just come, before they are split; gives how many."""
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute("select salt, array_agg(key_hash) from ops.erased_keys group by salt")
        known = cursor.fetchall()
        records = 0
        for salt, hashes in known:
            keys = Keys(bytes(salt), frozenset(map(bytes, hashes)), contract.source)
            records += redact_source(connection, settings, keys, contract, loads=list(load_ids)).counts["records"]
    return records


def has_erased(connection: PgConnection) -> bool:
    """Whether anybody was ever erased here: only then must arrivals be looked at."""
    with connection.cursor() as cursor:
        cursor.execute("select exists (select from ops.erased_keys)")
        [(is_so,)] = cursor.fetchall()
        return bool(is_so)


def redact_source(
    connection: PgConnection,
    settings: Settings,
    keys: Keys,
    contract: Contract,
    *,
    loads: list[int] | None = None,
    dry_run: bool = False,
) -> Emptied:
    """
    Every document of a source, or of some loads of it, without the persons; raw records and typed rows follow.

    Files are written before the caller's transaction ends: repeated after a kill, the same comes out.
    """
    emptied = Emptied()
    documents = sql.Identifier(f"raw_{contract.system}", "documents")
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "select d.document_id, d.load_id, d.entity, d.stored_path, f.archive from {} as d"
                " inner join ops.loads as l on l.load_id = d.load_id left join lateral ("
                "  select ops.archive_path(i.source, i.sha256, i.name) as archive from ops.inbox_files as i"
                "  where i.load_id = d.load_id limit 1) as f on true"
                " where l.source = %s and (%s::bigint[] is null or d.load_id = any (%s)) order by 1"
            ).format(documents),
            (contract.source, loads, loads),
        )
        for document_id, load_id, entity_name, stored_path, archive in cursor.fetchall():
            content = _content(cursor, documents, document_id, settings, stored_path)
            try:
                found = redact(content, contract, entity_name, keys) if content is not None else None
            except DocumentRefused:
                found = None  # it is refused as a whole anyway; the scan afterwards tells what it holds
            if found is None:
                continue
            emptied.counts.update(documents=1, records=len(found.payloads))
            emptied.values |= found.found
            if not dry_run:
                for path in {each for each in (stored_path, archive) if each}:
                    emptied.counts["files"] += _write(settings.home / path, found.content)
                _keep(cursor, contract, documents, document_id, found, inline=stored_path is None)
                emptied.counts["files"] += _redact_parquet(settings, contract, load_id, document_id, found)
    return emptied


def _content(
    cursor: PgCursor, documents: sql.Identifier, document_id: int, settings: Settings, stored_path: str | None
) -> bytes | None:
    if stored_path is not None:
        file = settings.home / stored_path
        return file.read_bytes() if file.is_file() else None
    cursor.execute(sql.SQL("select content from {} where document_id = %s").format(documents), (document_id,))
    [(content,)] = cursor.fetchall()
    return bytes(content)


def _keep(
    cursor: PgCursor, contract: Contract, documents: sql.Identifier, document_id: int, found: Redacted, *, inline: bool
) -> None:
    """The emptied document and its emptied records in raw; the load keeps the sum of what came."""
    digest = hashlib.sha256(found.content).digest()
    cursor.execute(
        sql.SQL("update {} set content = %s, sha256 = %s, byte_count = %s where document_id = %s").format(documents),
        (found.content if inline else None, digest, len(found.content), document_id),
    )
    table = sql.Identifier(f"raw_{contract.system}", found.entity.entity)
    for position, payload in found.payloads.items():
        raw_id = document_id * RAW_IDS_PER_DOCUMENT + position
        cursor.execute(
            sql.SQL("update {} set payload = %s, payload_hash = %s where raw_id = %s").format(table),
            (payload.decode(), hashlib.sha256(payload).digest(), raw_id),
        )
        cursor.execute(
            "update ops.rejects set payload = %s, received_value = null where raw_id = %s", (payload.decode(), raw_id)
        )


def _redact_parquet(settings: Settings, contract: Contract, load_id: int, document_id: int, found: Redacted) -> int:
    file = settings.formatted / contract.source / found.entity.entity / f"load_{load_id}.parquet"
    if not file.is_file():
        return 0
    table = parquet.read_table(file)
    raw_ids = pa.array([document_id * RAW_IDS_PER_DOCUMENT + position for position in found.payloads], pa.int64())
    is_theirs = pc.is_in(table["raw_id"], raw_ids)
    for place, column in enumerate(table.schema):
        if column.name in PERSONAL_COLUMNS and found.entity.kind in (*ABOUT_PEOPLE, "sale_lines"):
            kept = pc.if_else(is_theirs, pa.scalar(None, column.type), table[column.name])
            table = table.set_column(place, column, kept)
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    return _write(file, buffer.getvalue())


def _write(file: Path, content: bytes) -> int:
    """Replace a file as a whole; gives 1 when it was there."""
    if not file.is_file():
        return 0
    part = file.with_name(f".{file.name[-100:]}.part")
    part.touch(mode=0o600)
    part.write_bytes(content)
    part.replace(file)
    return 1
