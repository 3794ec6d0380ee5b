"""
The change log: entries chained by hashes in ops.change_log, and the head of the chain kept in the home.

What is proven: an entry that was altered, moved or taken out breaks the chain at that place; a tail that was cut off
no longer reaches the head kept outside the database. Who may rewrite both the table and the home can forge both; the
dumps of earlier backups then still hold the chain as it was.
"""

from __future__ import annotations

import getpass
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from psycopg2.extensions import connection as PgConnection
from psycopg2.extensions import cursor as PgCursor  # the driver's own name is too plain

from db.connection import connect
from panpan.local.files import write_private
from panpan.settings import Settings

HEAD_FILE = "changes.head"
BEGINNING = "0" * 64
LOCK = "panpan change log"


@dataclass(frozen=True)
class Change:
    """What is to be noted. before and after: the definition's text, or what was decided; None where there is none."""

    kind: str
    subject: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Entry:
    """One entry of the log, as it is kept."""

    change_id: int
    changed_at: datetime
    changed_by: str
    reason: str
    kind: str
    subject: str
    before: str | None
    after: str | None
    previous_hash: str
    entry_hash: str

    def expected_hash(self) -> str:
        """The hash this entry must have: every column with its length, so that none can flow into the next."""
        moment = self.changed_at.astimezone(UTC).isoformat(timespec="microseconds")
        columns: Sequence[str | None] = (
            self.previous_hash,
            str(self.change_id),
            moment,
            self.changed_by,
            self.reason,
            self.kind,
            self.subject,
            self.before,
            self.after,
        )
        parts = ("-," if text is None else f"{len(text.encode())}:{text}," for text in columns)
        return hashlib.sha256("".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Fault:
    """Where the log is not what it was, and how that is known."""

    change_id: int
    says: str


def person() -> str:
    """Who runs the program, when nobody is named."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def append(settings: Settings, changes: Iterable[Change], who: str, why: str) -> list[Entry]:
    """Note changes, all or none; the head in the home follows. Gives the entries."""
    wanted = list(changes)
    if not wanted:
        return []
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(hashtext(%s))", (LOCK,))
        number, previous = _head(cursor)
        added = []
        for change in wanted:
            number += 1
            entry = _entry(number, previous, change, who, why)
            _insert(cursor, entry)
            previous = entry.entry_hash
            added.append(entry)
    keep_head(settings, added[-1])
    return added


def _entry(number: int, previous: str, change: Change, who: str, why: str) -> Entry:
    now = datetime.now(UTC)
    bare = Entry(number, now, who, why, change.kind, change.subject, change.before, change.after, previous, "")
    return replace(bare, entry_hash=bare.expected_hash())


def _head(cursor: PgCursor) -> tuple[int, str]:
    cursor.execute("select change_id, entry_hash from ops.change_log order by change_id desc limit 1")
    found = cursor.fetchall()
    return found[0] if found else (0, BEGINNING)


def _insert(cursor: PgCursor, entry: Entry) -> None:
    cursor.execute(
        """
        insert into ops.change_log
            (change_id, changed_at, changed_by, reason, kind, subject, before, after, previous_hash, entry_hash)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        tuple(vars(entry).values()),
    )


def last_entry(connection: PgConnection) -> Entry | None:
    """The end of the log, None while it is empty."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select change_id, changed_at, changed_by, reason, kind, subject, before, after, previous_hash, entry_hash"
            " from ops.change_log order by change_id desc limit 1"
        )
        found = cursor.fetchone()
    return Entry(*found) if found else None


def keep_head(settings: Settings, entry: Entry) -> None:
    """Write down the end of the chain outside the database."""
    head = {"change_id": entry.change_id, "hash": entry.entry_hash}
    write_private(settings.home / HEAD_FILE, json.dumps(head) + "\n")


def read_head(settings: Settings) -> tuple[int, str] | None:
    """The end of the chain as the home knows it."""
    try:
        kept = json.loads((settings.home / HEAD_FILE).read_text(encoding="utf-8"))
        return int(kept["change_id"]), str(kept["hash"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def entries(settings: Settings, kinds: Sequence[str] | None = None) -> list[Entry]:
    """The whole log, or the entries of some kinds, oldest first."""
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            select
                change_id, changed_at, changed_by, reason, kind, subject, before, after, previous_hash, entry_hash
            from ops.change_log
            where %(kinds)s::text [] is null or kind = any(%(kinds)s)
            order by change_id
            """,
            {"kinds": list(kinds) if kinds else None},
        )
        return [Entry(*row) for row in cursor.fetchall()]


def verify(settings: Settings) -> list[Fault]:
    """Every place where the log is not what was written; empty when all is well."""
    known = entries(settings)
    return [*_broken(known), *_cut(known, read_head(settings))]


def _broken(known: Sequence[Entry]) -> Iterator[Fault]:
    previous, number = BEGINNING, 0
    for entry in known:
        if entry.change_id != number + 1:
            yield Fault(number + 1, f"entry {number + 1} is missing")
        elif entry.previous_hash != previous:
            yield Fault(entry.change_id, f"entry {entry.change_id} does not follow the one before it")
        if entry.entry_hash != entry.expected_hash():
            yield Fault(entry.change_id, f"entry {entry.change_id} is not what was written")
        previous, number = entry.entry_hash, entry.change_id


def _cut(known: Sequence[Entry], head: tuple[int, str] | None) -> Iterator[Fault]:
    hashes = {entry.change_id: entry.entry_hash for entry in known}
    last = max(hashes, default=0)
    if head is None:
        if known:
            yield Fault(last, "the head of the log in the home is missing, so its end can't be proven")
    elif head[0] not in hashes:
        yield Fault(last + 1, f"entries {last + 1} to {head[0]} are missing at the end")
    elif hashes[head[0]] != head[1]:
        yield Fault(head[0], f"entry {head[0]} is another one than the home knows")
