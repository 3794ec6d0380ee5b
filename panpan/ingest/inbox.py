"""
The inbox: files handed over for loading, one folder per source under `$PANPAN_HOME/inbox`.

Comes in: files people or `ingest drop` put there. Goes out: ops.inbox_files, which n8n is told of; taken
files move to `$PANPAN_HOME/archive`, where large ones are the raw record itself.
Each step may be killed and run again; a file is in the inbox or in the archive, never in neither.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from psycopg2.extensions import connection as PgConnection  # the driver's own name is too plain

from panpan.errors import IngestError
from panpan.ingest.sources import known_sources
from panpan.settings import Settings

STABLE_SECONDS = 1.0
LONGEST_NAME_BYTES = 255
SOURCE_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class InboxFile:
    """A registered file that waits for n8n."""

    file_id: int
    source: str
    path: Path
    byte_count: int


@dataclass(frozen=True)
class Scan:
    """What a look into the inbox found: all that waits now, and what can't be taken and why."""

    waiting: list[InboxFile] = field(default_factory=list)
    refused: list[tuple[Path, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Archived:
    """A file that has left the inbox; path is None when its content had gone or changed before."""

    file_id: int
    path: Path | None


def drop(settings: Settings, file: Path, source: str) -> Path:
    """
    Copy a file into the inbox of a source; it appears there whole or not at all.

    Gives where it is now. The same content under the same name is left as it is; other content of that name
    gets a number. The file's own time of change is kept.
    Errors: IngestError when the file can't be read or the inbox can't be written.
    """
    if not SOURCE_NAME.fullmatch(source):
        raise IngestError(f"{source!r} is no name of a source", next="bin/panpan sources list")
    folder = settings.inbox / source
    if file.name.startswith(".") or file.name.endswith(".part"):
        raise IngestError(
            f"{file.name} would be ignored",
            cause="names that begin with a dot or end with .part mean unfinished files",
            next="give the file another name",
        )
    if not file.is_file():
        found = "it is a folder" if file.is_dir() else "there is no such file"
        raise IngestError(f"can't read {file}", cause=found, next="check the path")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{uuid.uuid4().hex}.part"
        try:
            shutil.copyfile(file, part)
            shutil.copymode(file, part)
            part.chmod(part.stat().st_mode | 0o444)  # n8n may run as another user
            os.utime(part, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
            return _named(part, folder / file.name)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise IngestError(
            f"can't copy {file} into the inbox",
            cause=f"{error.strerror}: {error.filename}",
            next="check that the file can be read and the inbox has room",
        ) from error


def scan(connection: PgConnection, settings: Settings, *, stable_seconds: float = STABLE_SECONDS) -> Scan:
    """
    Register what lies in the inbox and has not been written to for a moment; forget what has gone.

    Two scans at once register a file once. Files of unknown sources are reported and left alone.
    """
    sources = {name for name, source in known_sources(connection).items() if source.kind == "files"}
    known = _registered(connection)
    found: set[str] = set()
    refused: list[tuple[Path, str]] = []
    for folder in sorted(_entries(settings.inbox)):
        if not folder.is_dir() or folder.name not in sources:
            kind = "folder of no known source" if folder.is_dir() else "file outside any source's folder"
            refused.append((folder, kind))
            continue
        for file in sorted(_entries(folder)):
            fault = _fault(file)
            if fault is not None:
                refused.append((file, fault))
                continue
            found.add(_relative(settings, file))
            _register(connection, settings, file, known.get(_relative(settings, file), []), stable_seconds)
    _forget(connection, settings, found)
    return Scan(_waiting(connection, settings), refused)


def archive_taken(connection: PgConnection, settings: Settings) -> list[Archived]:
    """
    Move taken files out of the inbox to `archive/<source>/<sha256>-<name>`, their content checked.

    A file that has other content by now stays in the inbox, to be registered anew; when it was a large one,
    whose only copy this was, its load has failed. A second run changes nothing. Call it before reading a
    document's stored_path. The caller commits.
    Errors: IngestError when inbox and archive are on different file systems, or a folder can't be written.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "select file_id, path, sha256, ops.archive_path(source, sha256, name) from ops.inbox_files"
            " where state = 'taken' and archived_at is null order by file_id for update skip locked"
        )
        rows = cursor.fetchall()
    archived = []
    for file_id, path, sha256, target in rows:
        try:
            moved = _archive(settings.home / path, settings.home / target, bytes(sha256), file_id)
        except OSError as error:
            raise IngestError(
                f"can't archive {path}",
                cause=f"{error.strerror}: {error.filename}",
                next="keep inbox and archive on one file system, writable for this user",
            ) from error
        with connection.cursor() as cursor:
            cursor.execute("update ops.inbox_files set archived_at = now() where file_id = %s", (file_id,))
            if moved is None:
                _fail_load_without_content(connection, file_id)
        archived.append(Archived(file_id, moved))
    return archived


def stored_file(settings: Settings, stored_path: str) -> Path:
    """Where the content of a large document lies. Errors: IngestError when it isn't there."""
    file = settings.home / stored_path
    if not file.is_file():
        raise IngestError(
            f"the content of {stored_path} is missing",
            cause=f"no file {file}",
            next="bin/panpan ingest status",
        )
    return file


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, without what is unfinished by its name."""
    try:
        return [each for each in folder.iterdir() if not each.name.startswith(".") and each.suffix != ".part"]
    except FileNotFoundError:
        return []


def _fault(file: Path) -> str | None:
    if file.is_symlink() or not file.is_file():
        return "no regular file"
    try:
        file.name.encode("utf-8")
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    return None if os.access(file, os.R_OK) else "can't be read by this user"


def _relative(settings: Settings, file: Path) -> str:
    return str(file.relative_to(settings.home))


def _registered(connection: PgConnection) -> dict[str, list[tuple[int, datetime]]]:
    """Size and time of every file that waits, or was taken and is still to be archived, by path."""
    known: dict[str, list[tuple[int, datetime]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "select path, byte_count, modified_at from ops.inbox_files"
            " where state = 'waiting' or (state = 'taken' and archived_at is null)"
        )
        for path, byte_count, modified_at in cursor.fetchall():
            known.setdefault(path, []).append((byte_count, modified_at))
    return known


def _register(
    connection: PgConnection,
    settings: Settings,
    file: Path,
    known: Collection[tuple[int, datetime]],
    stable_seconds: float,
) -> None:
    try:
        before = file.stat()
        is_fresh = abs(time.time() - before.st_mtime) < stable_seconds
        if is_fresh or _size_and_time(before) in known:
            return
        with file.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").digest()
        if _size_and_time(file.stat()) != _size_and_time(before):
            return  # still being written: the next scan sees it
    except FileNotFoundError:
        return
    path = _relative(settings, file)
    with connection.cursor() as cursor:
        cursor.execute("update ops.inbox_files set state = 'gone' where path = %s and state = 'waiting'", (path,))
        cursor.execute(
            "insert into ops.inbox_files (source, path, name, byte_count, modified_at, sha256)"
            " values (%s, %s, %s, %s, %s, %s) on conflict (path) where state = 'waiting' do nothing",
            (file.parent.name, path, file.name, *_size_and_time(before), sha256),
        )


def _size_and_time(found: os.stat_result) -> tuple[int, datetime]:
    return found.st_size, datetime.fromtimestamp(found.st_mtime_ns // 1000 / 1e6, UTC)


def _forget(connection: PgConnection, settings: Settings, found: set[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "select file_id, path from ops.inbox_files where state = 'waiting' and path <> all(%s)",
            (list(found),),
        )
        # looked at again: it may have come after this scan listed the folder
        gone = [file_id for file_id, path in cursor.fetchall() if not (settings.home / path).exists()]
        cursor.execute(
            "update ops.inbox_files set state = 'gone' where state = 'waiting' and file_id = any(%s)", (gone,)
        )


def _waiting(connection: PgConnection, settings: Settings) -> list[InboxFile]:
    with connection.cursor() as cursor:
        cursor.execute(
            "select file_id, source, path, byte_count from ops.inbox_files where state = 'waiting' order by file_id"
        )
        return [InboxFile(row[0], row[1], settings.home / row[2], row[3]) for row in cursor.fetchall()]


def _named(part: Path, wanted: Path) -> Path:
    """Give a finished copy its name, never replacing another file."""
    number = 1
    while True:
        target = wanted if number == 1 else wanted.with_stem(f"{wanted.stem}-{number}")
        try:
            os.link(part, target)  # unlike a rename this fails when the name is taken
            return target
        except FileExistsError:
            with suppress(FileNotFoundError):
                if _digest(target) == _digest(part):
                    return target
        number += 1


def _digest(file: Path) -> bytes:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()


def _archive(file: Path, target: Path, sha256: bytes, file_id: int) -> Path | None:
    """
    Move one file, its content checked while nobody else can reach it.

    Killed anywhere in between, the next call goes on: the file is then under its old, passing or new name.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    passing = target.parent / f".taking-{file_id}"
    if not passing.exists():
        try:
            file.rename(passing)
        except FileNotFoundError:
            return target if target.exists() else None
    if _digest(passing) != sha256:
        _named(passing, file)  # somebody's newer file of the same name
        passing.unlink()
        return target if target.exists() else None
    passing.replace(target)
    _settle(target.parent)
    return target


def _settle(folder: Path) -> None:
    """Have the move on the disk before the database says it was done."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems can't
            raise
    finally:
        os.close(handle)


def _fail_load_without_content(connection: PgConnection, file_id: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "update ops.loads as l set status = 'failed', finished_at = clock_timestamp(),"
            " reason = f.name || ' changed or was removed before it could be archived'"
            " from ops.inbox_files as f"
            " where f.file_id = %s and f.is_by_reference and l.load_id = f.load_id and l.status = 'received'",
            (file_id,),
        )
