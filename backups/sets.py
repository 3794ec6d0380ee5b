"""
The folder of the backup sets: names, one maker at a time, room on the disk, what a killed run left behind.
"""

from __future__ import annotations

import fcntl
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from backups.errors import BackupError
from panpan.errors import UsageError

LOCK_SECONDS = 2
PART = ".part-"
REMOVED = ".removed-"
NAME = re.compile(r"(\d{8}T\d{6}Z)-[0-9a-f]{4}")
# Room for the dump of a database of this size, by its bytes on disk: compressed it needs less.
ROOM_SHARE = 0.6
ROOM_BYTES = 64 * 2**20

FreeBytes = Callable[[Path], int]


def free_bytes(folder: Path) -> int:
    """Room on the disk of a folder."""
    return shutil.disk_usage(folder).free


def new_name(now: datetime) -> str:
    """A name that sorts by time and is never given twice."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def made_at(name: str) -> datetime:
    """The moment in a set's name. Errors: UsageError when it is no set's name."""
    found = NAME.fullmatch(name)
    if found is None:
        raise UsageError(f"{name!r} is no name of a backup set", next="bin/panpan backups list")
    return datetime.strptime(found[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def set_folders(folder: Path) -> list[Path]:
    """All whole sets, the newest first."""
    if not folder.is_dir():
        return []
    return sorted((each for each in folder.iterdir() if NAME.fullmatch(each.name) and each.is_dir()), reverse=True)


def find_set(folder: Path | None, name: str | None) -> Path:
    """
    A set by name (or path of its folder), or the newest; folder: where a home keeps its sets, None without a home.

    Errors: UsageError when there is none.
    """
    if name and Path(name).is_dir():
        return _set_at(Path(name))
    found = [each for each in set_folders(folder) if name in (None, each.name)] if folder else []
    if not found:
        raise UsageError(
            f"there is no backup set {name}" if name else "there is no backup set",
            cause=f"looked in {folder}" if folder else "there is no home here yet, so only a folder can be named",
            next="bin/panpan backups list, or name the folder of a set" if folder else "name the folder of a set",
        )
    return found[0]


def _set_at(place: Path) -> Path:
    """The set in a folder that was named. Errors: UsageError when it is none; says so when its sets lie one deeper."""
    place = place.absolute()
    if NAME.fullmatch(place.name):
        return place
    inside = set_folders(place)
    raise UsageError(
        f"{place} is no backup set",
        cause=f"it holds sets, the newest is {inside[0].name}"
        if inside
        else "the folder of a set is called like 20260531T033000Z-4f1c; its name is part of the seal",
        next=f"name {inside[0]}" if inside else "name the folder of a set, under the name it was made with",
    )


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """
    Keep others from making, proving or removing sets meanwhile; a lock ends with its process.

    Errors: BackupError when another process is at it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as stream:
        if not _take(stream.fileno()):
            raise BackupError(
                "another backup is under way",
                cause=f"{folder / '.lock'} is held by another process",
                next="wait for it to end, then try again",
            )
        for pattern in (PART, REMOVED):
            for left in folder.glob(f"{pattern}*"):
                shutil.rmtree(left, ignore_errors=True)
        yield


def _take(descriptor: int) -> bool:
    """Whether the lock could be had; a child of a process just killed may hold it for some moments more."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        else:
            return True


def require_room(folder: Path, needed: int, free: FreeBytes = free_bytes) -> None:
    """Errors: BackupError when the disk has less room than needed."""
    found = free(folder)
    if found < needed:
        raise BackupError(
            "there is no room for a backup",
            cause=f"{folder} has {found / 2**20:.0f} MB free, {needed / 2**20:.0f} MB are needed",
            next="make room, or set PANPAN_BACKUP_FOLDER to another disk",
        )


def remove(folder: Path) -> None:
    """Remove a set: renamed first, so that half a set is never taken for a whole one."""
    aside = folder.with_name(f"{REMOVED}{folder.name}")
    folder.rename(aside)
    shutil.rmtree(aside)
