"""
The backups: proven, on time, on the disk, elsewhere, encrypted.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from backups import ledger
from backups.sets import set_folders
from backups.status import Status, status
from panpan.doctor.check import Checks, Verdict, bad, none_of, well
from panpan.settings import Settings

AGE = b"age-encryption.org/"

checks = Checks()


@dataclass(frozen=True)
class Saved:
    """state: what backups/status.py judges. plain: dump files that are not encrypted. open_sets: readable by others."""

    state: Status
    has_offsite: bool
    plain: list[str]
    open_sets: list[str]


def look(settings: Settings) -> Saved:
    """
    Read the ledger and the folder of the sets.

    Errors: DatabaseError when the ledger can't be read.
    """
    folders = set_folders(settings.backup_sets)
    state = status(
        ledger.entries(settings),
        [folder.name for folder in folders],
        datetime.now(UTC),
        has_offsite=settings.offsite is not None,
    )
    return Saved(
        state=state,
        has_offsite=settings.offsite is not None,
        plain=[name for folder in folders for name in plain_files(folder)],
        open_sets=[folder.name for folder in folders if stat.S_IMODE(folder.stat().st_mode) & 0o077],
    )


def plain_files(folder: Path) -> list[str]:
    """Files named as encrypted that are not."""
    found = []
    for file in folder.rglob("*.age"):
        with file.open("rb") as stream:
            if stream.read(len(AGE)) != AGE:
                found.append(f"{folder.name}/{file.name}")
    return found


def _as(saved: Saved, name: str, fix: str) -> Verdict:
    check = saved.state.checks[name]
    return well(check.found) if check.ok else bad(check.found, fix)


@checks.add("backup-proven", "error", Saved)
def backup_proven(saved: Saved) -> Verdict:
    return _as(saved, "proven", "bin/panpan backups daily makes one and proves it")


@checks.add("backup-schedule", "warning", Saved)
def backup_schedule(saved: Saved) -> Verdict:
    return _as(saved, "schedule", "bin/panpan up starts the worker, which makes one every day")


@checks.add("backup-last", "error", Saved)
def backup_last(saved: Saved) -> Verdict:
    return _as(saved, "last", "bin/panpan backups daily tries again; docs/backups.md explains the reason")


@checks.add("backup-sets", "error", Saved)
def backup_sets(saved: Saved) -> Verdict:
    return _as(saved, "on_disk", "find out who removed them; bin/panpan backups create makes a new one")


@checks.add("backup-clock", "warning", Saved)
def backup_clock(saved: Saved) -> Verdict:
    return _as(saved, "clock", "set the machine's clock, then bin/panpan backups daily")


@checks.add("backup-elsewhere", "warning", Saved)
def backup_elsewhere(saved: Saved) -> Verdict:
    if not saved.has_offsite:
        fix = "set PANPAN_OFFSITE to a folder on another disk or s3://bucket/prefix: docs/backups.md"
        return bad("all backups are on this machine: a fire takes them with it", fix)
    return _as(saved, "offsite", "bin/panpan backups copy")


@checks.add("backup-encrypted", "error", Saved, security=True)
def backup_encrypted(saved: Saved) -> Verdict:
    fix = "remove the set and make a new one: bin/panpan backups create"
    return none_of(saved.plain, "every set is encrypted", "not encrypted", fix)


@checks.add("backup-private", "warning", Saved, security=True)
def backup_private(saved: Saved) -> Verdict:
    return none_of(saved.open_sets, "sets are readable by their owner alone", "open to others", "chmod -R go= them")
