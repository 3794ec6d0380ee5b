"""
The ledger: every act on a backup set and its verdict, in ops.backup_ledger, where nothing is ever changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg2.extras import Json, RealDictCursor
from pydantic import BaseModel

from db.connection import connect
from panpan.settings import Settings


class Check(BaseModel):
    """One check and what it found."""

    ok: bool
    found: str


@dataclass(frozen=True)
class Entry:
    """One line of the ledger."""

    event: str
    set_name: str
    verdict: str
    seconds: float
    recorded_at: datetime | None = None
    snapshot_at: datetime | None = None
    byte_count: int | None = None
    manifest_sha256: str | None = None
    checks: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None
    entry_id: int = 0

    @property
    def is_good(self) -> bool:
        return self.verdict == "good"


def record(settings: Settings, entry: Entry) -> None:
    """Add an entry; the database gives it number and moment."""
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            insert into ops.backup_ledger
                (event, set_name, verdict, snapshot_at, seconds, byte_count, manifest_sha256, checks, reason)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
            """,
            (
                entry.event,
                entry.set_name,
                entry.verdict,
                entry.snapshot_at,
                entry.seconds,
                entry.byte_count,
                entry.manifest_sha256,
                Json(entry.checks),
                entry.reason,
            ),
        )


def entries(settings: Settings) -> list[Entry]:
    """Everything, in the order it was written."""
    with connect(settings, "backup") as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            "select entry_id, recorded_at, event, set_name, verdict, snapshot_at, seconds, byte_count, manifest_sha256,"
            " checks, reason from ops.backup_ledger order by entry_id"
        )
        return [Entry(**{**row, "seconds": float(row["seconds"])}) for row in cursor.fetchall()]


def proven_sets(known: list[Entry]) -> set[str]:
    """Names of the sets whose last drill was good."""
    verdicts = {entry.set_name: entry.is_good for entry in known if entry.event == "drilled"}
    return {name for name, is_good in verdicts.items() if is_good}


def checks_as_json(checks: dict[str, Check]) -> dict[str, Any]:
    """For ledger and --json."""
    return {name: check.model_dump() for name, check in checks.items()}
