"""
Checks of what was received that no single select can make: they read every raw table, or the documents again.

Comes in: a connection, contracts. Goes out: offenders as (key, found).
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from panpan.errors import ContractError, DocumentRefused
from transforms.contract import Contract
from transforms.documents import open_document
from transforms.intake import RAW_IDS_PER_DOCUMENT

LOOK_BACK = timedelta(days=14)
READ_AGAIN_BYTES = 300_000  # of each source the newest document, where it is no larger
CHUNK_ROWS = 10_000

Offenders = Iterator[tuple[str, str]]


def records_are_complete(
    connection: PgConnection, contracts: Mapping[str, Contract], parameters: Mapping[str, Any]
) -> Offenders:
    """Loads of the last days that hold another number of records than was counted when they were taken."""
    tables = {(f"raw_{c.system}", entity.entity) for c in contracts.values() for entity in c.entities}
    with connection.cursor() as cursor:
        cursor.execute(
            "select load_id, source, record_count from ops.loads"
            " where status = 'loaded' and received_at > %s and received_at <= %s order by load_id",
            (parameters["now"] - LOOK_BACK, parameters["now"]),
        )
        expected = {load_id: (source, count) for load_id, source, count in cursor.fetchall()}
        found = dict.fromkeys(expected, 0)
        for table in sorted(tables):
            # Records lie in the order of their documents, so those of recent loads are at the end of the key.
            cursor.execute(
                sql.SQL(
                    "select load_id, count(*) from {records} where raw_id >= coalesce("
                    "(select min(document_id) from {documents} where load_id = any(%s)), %s) * %s group by load_id"
                ).format(records=sql.Identifier(*table), documents=sql.Identifier(table[0], "documents")),
                (list(expected), 2**31, RAW_IDS_PER_DOCUMENT),
            )
            for load_id, count in cursor.fetchall():
                if load_id in found:
                    found[load_id] += count
    for load_id, (source, count) in expected.items():
        if count != found[load_id]:
            yield f"{source} load {load_id}", f"{count} records were counted, {found[load_id]} are there"


def records_are_as_received(
    connection: PgConnection, contracts: Mapping[str, Contract], _parameters: Mapping[str, Any]
) -> Offenders:
    """Records that differ from what the newest document of their source says when it is split again."""
    for contract in contracts.values():
        document = _newest_document(connection, contract)
        if document is None:
            continue
        document_id, entity_name, content = document
        try:
            opened = open_document(io.BytesIO(content), contract, entity_name, CHUNK_ROWS)
            said = {
                document_id * RAW_IDS_PER_DOCUMENT + position: json.loads(payload)
                for chunk in opened.chunks
                for position, payload in zip(chunk.positions, chunk.payloads, strict=True)
            }
        except (DocumentRefused, ContractError) as error:
            yield f"{contract.source} document {document_id}", f"it can't be read again: {error.message}"
            continue
        with connection.cursor() as cursor:
            cursor.execute(
                sql.SQL("select raw_id, payload from {} where raw_id between %s and %s order by raw_id").format(
                    sql.Identifier(f"raw_{contract.system}", opened.entity.entity)
                ),
                (document_id * RAW_IDS_PER_DOCUMENT, (document_id + 1) * RAW_IDS_PER_DOCUMENT - 1),
            )
            for raw_id, payload in cursor.fetchall():
                if said.get(raw_id) != payload and any(payload.values()):  # rows without anything were records once
                    yield f"{contract.source} record {raw_id}", "it is not what its document says"


def _newest_document(connection: PgConnection, contract: Contract) -> tuple[int, str | None, bytes] | None:
    """Number, entity and bytes of the newest document of a source's loaded loads, where it is small enough."""
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "select document_id, entity, content from {} where load_id ="
                " (select max(load_id) from ops.loads where source = %s and status = 'loaded')"
                " and content is not null and byte_count <= %s order by document_id desc limit 1"
            ).format(sql.Identifier(f"raw_{contract.system}", "documents")),
            (contract.source, READ_AGAIN_BYTES),
        )
        row = cursor.fetchone()
    return (row[0], row[1], bytes(row[2])) if row else None


Function = Callable[[PgConnection, Mapping[str, Contract], Mapping[str, Any]], Offenders]
FUNCTIONS: dict[str, Function] = {
    function.__name__: function for function in (records_are_complete, records_are_as_received)
}
