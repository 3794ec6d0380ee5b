"""
Rejected records and refused loads: what they are, and another try.

Comes in: ops.rejects, ops.loads. Goes out: lists; loads set back to received, which the next run takes again.
"""

from __future__ import annotations

from typing import Any

from psycopg2.extras import RealDictCursor

from db.connection import connect
from panpan.settings import Settings
from transforms.intake import RAW_IDS_PER_DOCUMENT
from transforms.masking import mask_payload, mask_value


def open_rejects(settings: Settings, source: str | None = None) -> list[dict[str, Any]]:
    """One row per source and reason, the most frequent first: source, reason, count."""
    return _rows(
        settings,
        """
        select source, reason, count(*)::integer as count
        from ops.rejects
        where resolved_at is null and source = coalesce(%(source)s, source)
        group by source, reason order by count desc, source, reason
        """,
        {"source": source},
    )


def refused_loads(settings: Settings, source: str | None = None) -> list[dict[str, Any]]:
    """One row per load refused whole: load_id, source, file, reason."""
    return _rows(
        settings,
        """
        select load_id, source, file_name as file, reason
        from ops.loads
        where status = 'refused' and source = coalesce(%(source)s, source)
        order by load_id
        """,
        {"source": source},
    )


def rejected_records(settings: Settings, source: str, limit: int, *, clear: bool = False) -> list[dict[str, Any]]:
    """
    One row per open reject, oldest first: raw_id, file, record (its place in the file), reason, column, value, payload.

    clear: also what names a person; else that is masked.
    """
    rows = _rows(
        settings,
        """
        select
            reject.raw_id, load.file_name as file, reject.entity,
            (reject.raw_id %% %(per_document)s)::integer as record,
            reject.reason, reject.column_name as column, reject.received_value as value, reject.payload
        from ops.rejects as reject
        inner join ops.loads as load on reject.load_id = load.load_id
        where reject.resolved_at is null and reject.source = %(source)s
        order by reject.raw_id limit %(limit)s
        """,
        {"source": source, "limit": limit, "per_document": RAW_IDS_PER_DOCUMENT},
    )
    return rows if clear else [_masked(row, source, settings) for row in rows]


def _masked(row: dict[str, Any], source: str, settings: Settings) -> dict[str, Any]:
    place = (source, row["entity"])
    return {
        **row,
        "value": mask_value(*place, row["column"], row["value"], settings.own_contracts),
        "payload": mask_payload(*place, row["payload"], settings.own_contracts),
    }


def count_open(settings: Settings, source: str) -> int:
    """How many rejects of a source are open."""
    return sum(int(group["count"]) for group in open_rejects(settings, source))


def receive_again(settings: Settings, source: str) -> int:
    """Put the loads with open rejects, and the refused ones, before the worker again. Gives their number."""
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            update ops.loads as load set status = 'received'
            where load.source = %(source)s and (
                load.status = 'refused'
                or load.status = 'loaded' and exists (
                    select from ops.rejects as reject
                    where reject.load_id = load.load_id and reject.resolved_at is null
                )
            )
            """,
            {"source": source},
        )
        return int(cursor.rowcount)


def _rows(settings: Settings, statement: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    with (
        connect(settings, "transformer") as connection,
        connection.cursor(cursor_factory=RealDictCursor) as cursor,
    ):
        cursor.execute(statement, parameters)
        return [dict(row) for row in cursor.fetchall()]
