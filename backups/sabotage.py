"""
Break backups in every way we know and see that each is noticed.

Comes in: a proven set, and an empty scratch server which becomes a small home of its own. Goes out: one result per
fault. The real sets, databases and ledger are not touched: everything happens to copies.
"""

from __future__ import annotations

import os
import resource
import shutil
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from backups import create as creating
from backups import offsite, programs, sets
from backups.drill import N8N_KEY, Scratch, Verdict, drill, examine, restore_databases
from backups.errors import BackupError
from backups.key import BackupKey, key_text, make_key, read_key
from backups.ledger import Entry, entries, proven_sets
from backups.manifest import FILE, Manifest, Stored, read_manifest, write_manifest
from backups.status import status
from backups.stream import sha256_of
from db.connection import connect
from db.migrate import create_roles
from panpan.errors import PanpanError
from panpan.settings import Settings

FILE_LIMIT = 64 * 2**10


@dataclass(frozen=True)
class Result:
    """One fault: whether it was noticed, and in which words."""

    id: str
    detected: bool
    found: str


@dataclass(frozen=True)
class Arena:
    """A small home in a scratch server: databases restored from the set, a ledger of its own, a proven set."""

    settings: Settings
    ingredients: creating.Ingredients
    scratch: Scratch
    folder: Path  # a proven set of the arena

    @property
    def key(self) -> BackupKey:
        return read_key(self.settings.backup_key)

    @property
    def dump(self) -> str:
        """Name of the warehouse's dump."""
        return creating.dump_file(self.settings.database_name)

    def copy(self, fault: str) -> Path:
        """A copy of the proven set under its own name, to be broken."""
        target = self.settings.home / "broken" / fault / self.folder.name
        shutil.copytree(self.folder, target)
        return target

    def examine(self, folder: Path, key_file: Path | None = None) -> Verdict:
        """Drill a copy, as the ledger of the arena knows it."""
        known = entries(self.settings)
        file = key_file or self.settings.backup_key
        return examine(file, folder, known, self.scratch)

    def examine_resealed(self, folder: Path, manifest: Manifest) -> Verdict:
        """Drill a copy whose maker was wrong from the start: seal and ledger agree with what it says."""
        (folder / FILE).unlink()
        written = write_manifest(folder, manifest, self.key)
        known = [
            replace(entry, manifest_sha256=written.sha256)
            if entry.event == "created" and entry.set_name == folder.name
            else entry
            for entry in entries(self.settings)
        ]
        return examine(self.settings.backup_key, folder, known, self.scratch)

    def execute(self, statement: str) -> None:
        """Change the arena's own warehouse."""
        with connect(self.settings, "postgres") as connection, connection.cursor() as cursor:
            cursor.execute(statement)


Fault = Callable[[Arena], Verdict | str]


def sabotage(
    server: Settings,
    folder: Path,
    key_file: Path,
    ingredients: creating.Ingredients,
    scratch: Scratch,
    *,
    only: Collection[str] = (),
    step: creating.Step = lambda _: None,
) -> list[Result]:
    """
    Try every fault.

    A fault's function gives the verdict it got, or a text that says what was noticed; an empty text: nothing was.
    Errors: those of setting up the arena.
    """
    step("setting up a home to be broken")
    arena = build(server, folder, key_file, ingredients, scratch)
    results = []
    for name, (fault, words) in FAULTS.items():
        if only and name not in only:
            continue
        step(f"fault: {name}")
        try:
            outcome = fault(arena)
        except PanpanError as error:
            outcome = f"{error.message}: {error.explained_cause()}"
        found = outcome if isinstance(outcome, str) else outcome.reason or ""
        results.append(Result(name, words in found, found or "nothing was noticed"))
    step("the sound set again: it must still be good")
    if not (control := arena.examine(arena.folder)).is_good:
        raise BackupError("the sound set was found bad after the faults", cause=control.reason)
    return results


def build(server: Settings, folder: Path, key_file: Path, ingredients: creating.Ingredients, scratch: Scratch) -> Arena:
    """Restore the set into the scratch server, give the roles passwords, make and prove a first set."""
    settings = server.model_copy(update={"backup_folder": None, "backup_key_file": None, "offsite": None})
    shutil.copy(key_file, settings.backup_key)
    key = read_key(settings.backup_key)
    manifest = read_manifest(folder, key)
    restore_databases(settings, folder, manifest, key, {name: name for name in manifest.databases})
    create_roles(settings)
    own = replace(ingredients, folders={})
    proven = creating.create(settings, own)
    verdict = drill(settings, proven, scratch)
    if not verdict.is_good:
        raise BackupError("the sound set was found bad; nothing can be tried", cause=verdict.reason)
    return Arena(settings, own, scratch, proven)


# --- faults of the files -----------------------------------------------------------------------------------


def truncated_dump(arena: Arena) -> Verdict:
    folder = arena.copy("truncated_dump")
    os.truncate(folder / arena.dump, (folder / arena.dump).stat().st_size // 2)
    return arena.examine(folder)


def truncated_dump_unnoticed_by_checksums(arena: Arena) -> Verdict:
    """Cut before its checksum was taken: only opening it tells."""
    folder = arena.copy("truncated_before")
    os.truncate(folder / arena.dump, (folder / arena.dump).stat().st_size - 1000)
    return arena.examine_resealed(folder, _with_files_as_they_are(folder, arena))


def flipped_byte(arena: Arena) -> Verdict:
    folder = arena.copy("flipped_byte")
    with (folder / arena.dump).open("r+b") as stream:
        stream.seek((folder / arena.dump).stat().st_size // 2)
        byte = stream.read(1)
        stream.seek(-1, os.SEEK_CUR)
        stream.write(bytes([byte[0] ^ 1]))
    return arena.examine(folder)


def empty_file(arena: Arena) -> Verdict:
    folder = arena.copy("empty_file")
    os.truncate(folder / arena.dump, 0)
    return arena.examine(folder)


def wrong_key(arena: Arena) -> Verdict:
    file = arena.settings.home / "wrong.key"
    make_key(file, dict(arena.key.application_keys), sets_exist=False)
    return arena.examine(arena.folder, file)


def lost_key(arena: Arena) -> Verdict | str:
    """Neither is a set proven without the key, nor is a new key made that would hide the loss."""
    verdict = arena.examine(arena.folder, arena.settings.home / "no.key")
    aside = arena.settings.backup_key.rename(arena.settings.home / "aside.key")
    try:
        creating.create(arena.settings, arena.ingredients)
    except BackupError:
        return verdict
    finally:
        arena.settings.backup_key.unlink(missing_ok=True)
        aside.rename(arena.settings.backup_key)
    return ""


def wrong_n8n_key(arena: Arena) -> Verdict:
    file = arena.settings.home / "wrong_n8n.key"
    key = arena.key
    file.write_text(key_text(BackupKey(key.identity, {**key.application_keys, N8N_KEY: "another"})), encoding="utf-8")
    return arena.examine(arena.folder, file)


def older_manifest(arena: Arena) -> Verdict:
    """A manifest of another time, made with the right key, is put into the set."""
    newer = creating.create(arena.settings, arena.ingredients)
    folder = arena.copy("older_manifest")
    shutil.copy(folder / FILE, newer / FILE)
    try:
        return arena.examine(newer)
    finally:
        shutil.rmtree(newer)


def older_set_under_newer_name(arena: Arena) -> Verdict:
    """A whole older set in the place of a newer one, its manifest renamed by somebody who has the key."""
    newer = sets.new_name(datetime.now(UTC) + timedelta(minutes=1))
    folder = arena.copy("older_set").rename(arena.settings.home / "broken" / newer)
    manifest = read_manifest(arena.folder, arena.key).model_copy(update={"set_name": newer})
    (folder / FILE).unlink()
    write_manifest(folder, manifest, arena.key)
    return arena.examine(folder)


# --- faults of the maker -----------------------------------------------------------------------------------


def missing_role(arena: Arena) -> Verdict:
    folder = arena.copy("missing_role")
    manifest = read_manifest(folder, arena.key)
    roles = [role for role in manifest.server.roles if role.name != "transformer"]
    server = manifest.server.model_copy(update={"roles": roles})
    return arena.examine_resealed(folder, manifest.model_copy(update={"server": server}))


def wrong_database(arena: Arena) -> Verdict:
    """The dump of another database under the warehouse's name."""
    folder = arena.copy("wrong_database")
    (folder / arena.dump).unlink()
    _dump_again(arena, folder / arena.dump, database="postgres")
    return arena.examine_resealed(folder, _with_files_as_they_are(folder, arena))


def full_disk(arena: Arena) -> str:
    """The disk says so before anything is written."""
    full = replace(arena.ingredients, free_bytes=lambda _: 0)
    return _not_made(arena, lambda: creating.create(arena.settings, full))


def disk_full_meanwhile(arena: Arena) -> str:
    """The disk is full while the dump is written: the operating system refuses to let a file grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT, hard))
    try:
        return _not_made(arena, lambda: creating.create(arena.settings, arena.ingredients))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def pg_dump_killed(arena: Arena) -> str:
    over = threading.Event()
    killer = threading.Thread(target=_kill_pg_dump, args=(over,), daemon=True)
    killer.start()
    try:
        return _not_made(arena, lambda: creating.create(arena.settings, arena.ingredients))
    finally:
        over.set()
        killer.join()


def deleted_copy(arena: Arena) -> str:
    place = _copied(arena, "deleted_copy")
    (place.folder / arena.folder.name / arena.dump).unlink()
    return _bad_copy(arena, place)


def changed_copy(arena: Arena) -> str:
    place = _copied(arena, "changed_copy")
    with (place.folder / arena.folder.name / arena.dump).open("r+b") as stream:
        stream.seek(5000)
        stream.write(b"changed")
    return _bad_copy(arena, place)


# --- faults of time ----------------------------------------------------------------------------------------


def silent_scheduler(arena: Arena) -> str:
    return _status_at(arena, datetime.now(UTC) + timedelta(hours=27))


def clock_jump(arena: Arena) -> str:
    return _status_at(arena, datetime.now(UTC) - timedelta(days=2))


# --- faults of the databases; they change the arena, so they come last ---------------------------------------


def revenue_altered(arena: Arena) -> Verdict:
    """One cent more in one row, between manifest and dump; the number of rows is the same."""
    folder = arena.copy("revenue_altered")
    (folder / arena.dump).unlink()
    arena.execute(
        "update marts.daily_store_sales set net_amount = net_amount + 0.01 where ctid ="
        " (select min(ctid) from marts.daily_store_sales where net_amount is not null)"
    )
    _dump_again(arena, folder / arena.dump, database=arena.settings.database_name)
    return arena.examine_resealed(folder, _with_files_as_they_are(folder, arena))


def table_dropped(arena: Arena) -> Verdict:
    """Gone before the dump: dump and manifest agree that it never was."""
    arena.execute("drop table core.stock_movements cascade")
    return _made_and_drilled(arena)


def received_rows_lost(arena: Arena) -> Verdict:
    """Received documents only grow; fewer of them than in the last proven set is a loss."""
    arena.execute("set local session_replication_role = replica; delete from raw_pos.documents")
    return _made_and_drilled(arena)


# Each fault, and the words by which it must be noticed: red for another reason is no proof.
FAULTS: dict[str, tuple[Fault, str]] = {
    fault.__name__: (fault, words)
    for fault, words in (
        (truncated_dump, "bytes instead of"),
        (truncated_dump_unnoticed_by_checksums, "can't be decrypted"),
        (flipped_byte, "was changed"),
        (empty_file, "has 0 bytes"),
        (wrong_key, "can't be decrypted"),
        (lost_key, "key of the backups is missing"),
        (wrong_n8n_key, "another N8N_ENCRYPTION_KEY"),
        (older_manifest, "belongs to another set"),
        (older_set_under_newer_name, "the ledger does not know this manifest"),
        (missing_role, 'role "transformer" does not exist'),
        (wrong_database, "in the backup, no table restored"),
        (full_disk, "no room for a backup"),
        (disk_full_meanwhile, "can't be written"),
        (pg_dump_killed, "signal 9"),
        (deleted_copy, "is missing"),
        (changed_copy, "was changed"),
        (silent_scheduler, "the last try was"),
        (clock_jump, "the clock jumped"),
        (revenue_altered, "metrics: "),
        (table_dropped, "table core.stock_movements is gone"),
        (received_rows_lost, "raw_pos.documents had"),
    )
}


def _with_files_as_they_are(folder: Path, arena: Arena) -> Manifest:
    manifest = read_manifest(folder, arena.key)
    files = {
        name: Stored(byte_count=(folder / name).stat().st_size, sha256=sha256_of(folder / name))
        for name in manifest.files
    }
    return manifest.model_copy(update={"files": files})


def _dump_again(arena: Arena, target: Path, *, database: str) -> None:
    if database == "postgres":
        with connect(arena.settings, "postgres", "postgres", autocommit=True) as connection:
            connection.cursor().execute("grant connect on database postgres to backup")
    with connect(arena.settings, "backup", database) as connection, connection.cursor() as cursor:
        cursor.execute("set transaction isolation level repeatable read, read only")
        cursor.execute("select pg_export_snapshot()")
        [(snapshot,)] = cursor.fetchall()
        programs.dump(arena.settings, database, snapshot, target, arena.key.recipient)


def _not_made(arena: Arena, make: Callable[[], Path]) -> str:
    """What the maker said; empty when it made a set, left something, or the ledger calls it good."""
    before = sorted(arena.settings.backup_sets.iterdir())
    try:
        make()
    except PanpanError as error:
        last = entries(arena.settings)[-1]
        is_clean = sorted(arena.settings.backup_sets.iterdir()) == before
        said = f"{error.message}: {error.explained_cause()}"
        return said if is_clean and last.event == "created" and not last.is_good else ""
    return ""


def _made_and_drilled(arena: Arena) -> Verdict:
    folder = creating.create(arena.settings, arena.ingredients)
    verdict = drill(arena.settings, folder, arena.scratch)
    return verdict if folder.name not in proven_sets(entries(arena.settings)) else replace(verdict, checks={})


def _copied(arena: Arena, name: str) -> offsite.FolderStore:
    place = offsite.FolderStore(arena.settings.home / "broken" / name)
    place.folder.mkdir(parents=True)
    copied = offsite.copy(arena.settings, place, arena.folder, arena.key)
    if not copied.ok:
        raise BackupError("the sound copy was found bad", cause=copied.found)
    return place


def _bad_copy(arena: Arena, place: offsite.Store) -> str:
    checks = offsite.check(arena.settings, place, entries(arena.settings))
    known: list[Entry] = entries(arena.settings)
    on_disk = [folder.name for folder in sets.set_folders(arena.settings.backup_sets)]
    is_red = not status(known, on_disk, datetime.now(UTC), has_offsite=True).checks["offsite"].ok
    bad = [check.found for check in checks.values() if not check.ok]
    return ", ".join(bad) if is_red else ""


def _status_at(arena: Arena, now: datetime) -> str:
    on_disk = [folder.name for folder in sets.set_folders(arena.settings.backup_sets)]
    known = entries(arena.settings)
    well = {
        name for name, check in status(known, on_disk, datetime.now(UTC), has_offsite=False).checks.items() if check.ok
    }
    then = status(known, on_disk, now, has_offsite=False)
    return ", ".join(check.found for name, check in then.checks.items() if not check.ok and name in well)


def _kill_pg_dump(over: threading.Event) -> None:
    while not over.is_set():
        for child in psutil.Process().children():
            with suppress(psutil.Error):
                if child.name() == "pg_dump" and "--version" not in child.cmdline():
                    child.kill()
                    return
        over.wait(0.001)
