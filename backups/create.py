"""
Make a backup set: one exported snapshot per database for dump and manifest, everything encrypted before it is on disk.

Comes in: the databases of the home, folders, metric values by a function of the caller. Goes out: a folder
`<time>-<4 letters>` of encrypted files; it is there whole or not at all. Nothing counts before it was drilled.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import psycopg2
from psycopg2.extensions import connection as PgConnection
from pydantic import SecretStr

from backups import programs, sets
from backups.describe import describe, prepare, sequences
from backups.errors import BackupError
from backups.figures import Figure, read_figures
from backups.globals import read_globals
from backups.key import BackupKey, make_key
from backups.ledger import Entry, record
from backups.manifest import FILE, Dump, Manifest, Stored, write_manifest
from backups.stream import Written, encrypt, sync_path
from db.connection import connect
from db.migrate import OTHER_DATABASES
from panpan.errors import DatabaseError, PanpanError
from panpan.settings import Settings

FILES = "files.tar.gz.age"
Step = Callable[[str], None]


@dataclass(frozen=True)
class Ingredients:
    """
    What goes into a set beside the databases, and what only the caller knows.

    folders: name in the set -> folder, or a single file; application_keys: name -> key the programs encrypt their
    credentials with; metrics: every metric as a statement, without values yet.
    """

    metrics: Mapping[str, Figure] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)
    application_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    versions: Mapping[str, str] = field(default_factory=dict)
    free_bytes: sets.FreeBytes = sets.free_bytes


@dataclass(frozen=True)
class Snapshot:
    """A database held still: other sessions that name it see exactly the same."""

    database: str
    connection: PgConnection
    name: str
    taken_at: datetime
    database_bytes: int


def create(settings: Settings, ingredients: Ingredients, step: Step = lambda _: None) -> Path:
    """
    Make one set; gives its folder.

    Errors: BackupError or DatabaseError, also written to the ledger; nothing of the set is left then.
    """
    begun = time.monotonic()
    folder = settings.backup_sets
    with sets.lock(folder):
        name = sets.new_name(datetime.now(UTC))
        try:
            with _as_backup_error():
                manifest, written = _make(settings, ingredients, name, step)
        except PanpanError as error:
            reason = f"{error.message}: {error.explained_cause()}"
            with suppress(DatabaseError):  # the first error is the one to be told
                record(settings, Entry("created", name, "bad", time.monotonic() - begun, reason=reason))
            raise
        seconds = time.monotonic() - begun
        record(
            settings,
            Entry(
                "created",
                name,
                "good",
                seconds,
                snapshot_at=manifest.snapshot_at,
                byte_count=manifest.byte_count + written.byte_count,
                manifest_sha256=written.sha256,
                checks={
                    "tables": tables_by_database(manifest),
                    "files": {name: file.sha256 for name, file in manifest.files.items()} | {FILE: written.sha256},
                },
            ),
        )
    return folder / name


@contextmanager
def _as_backup_error() -> Iterator[None]:
    try:
        yield
    except (psycopg2.Error, OSError) as error:
        raise BackupError("no backup could be made", cause=str(error).strip()) from error


def tables_by_database(manifest: Manifest) -> dict[str, dict[str, int]]:
    """Database -> table -> rows: what the next set is held against."""
    return {
        name: {table: facts.rows for table, facts in dump.facts.tables.items()}
        for name, dump in manifest.databases.items()
    }


def _make(settings: Settings, ingredients: Ingredients, name: str, step: Step) -> tuple[Manifest, Written]:
    folder = settings.backup_sets
    key = make_key(settings.backup_key, ingredients.application_keys, sets_exist=bool(sets.set_folders(folder)))
    part = folder / f"{sets.PART}{name}"
    part.mkdir(mode=0o700)
    with ExitStack() as stack:
        stack.callback(_discard, part)
        snapshots = [stack.enter_context(_snapshot(settings, each)) for each in databases(settings)]
        room = sum(snapshot.database_bytes for snapshot in snapshots)
        sets.require_room(folder, int(room * sets.ROOM_SHARE) + sets.ROOM_BYTES, ingredients.free_bytes)
        manifest = _fill(settings, ingredients, part, name, snapshots, key, step)
        written = write_manifest(part, manifest, key)
        sync_path(part)
        part.rename(folder / name)
        sync_path(folder)
    return manifest, written


def _fill(
    settings: Settings,
    ingredients: Ingredients,
    part: Path,
    name: str,
    snapshots: list[Snapshot],
    key: BackupKey,
    step: Step,
) -> Manifest:
    begun, created_at = time.monotonic(), datetime.now(UTC)
    warehouse = snapshots[0].connection
    databases_of_set = [snapshot.database for snapshot in snapshots]
    # Sequences know no snapshot: the dump's values lie between those read before and after it.
    before = {snapshot.database: sequences(snapshot.connection) for snapshot in snapshots}
    with _Dumping(settings, part, key.recipient, snapshots) as dumping:
        step(f"dumping {', '.join(databases_of_set)}")
        facts = {snapshot.database: describe(snapshot.connection) for snapshot in snapshots}
        prepare(warehouse)
        metrics = read_figures(warehouse, ingredients.metrics)
        server = read_globals(warehouse, databases_of_set)
        dumps = dumping.results()
    for snapshot in snapshots:
        after = sequences(snapshot.connection)
        facts[snapshot.database].sequences = {
            name: (low, after.get(name, low)) for name, low in before[snapshot.database].items()
        }
    step("packing files")
    packed, counts = pack(ingredients.folders, part / FILES, key.recipient)
    return Manifest(
        set_name=name,
        created_at=created_at,
        seconds=round(time.monotonic() - begun, 3),
        versions={**ingredients.versions, "pg_dump": programs.version(settings), "server": _server_version(warehouse)},
        warehouse=settings.database_name,
        databases={
            snapshot.database: Dump(
                file=dump_file(snapshot.database),
                snapshot_at=snapshot.taken_at,
                database_bytes=snapshot.database_bytes,
                seconds=round(dumps[snapshot.database][1], 3),
                facts=facts[snapshot.database],
            )
            for snapshot in snapshots
        },
        server=server,
        metrics=metrics,
        key_fingerprints=key.fingerprints(),
        files={
            **{dump_file(database): _stored(written) for database, (written, _) in dumps.items()},
            FILES: _stored(packed),
        },
        folders=counts,
        settings=plain_settings(settings),
    )


def databases(settings: Settings) -> list[str]:
    """The databases a set holds: the warehouse first, then those of n8n and Metabase where there are such."""
    with connect(settings, "backup") as connection, connection.cursor() as cursor:
        cursor.execute("select datname from pg_catalog.pg_database where datname = any (%s)", (list(OTHER_DATABASES),))
        found = {name for (name,) in cursor.fetchall()}
    return [settings.database_name, *(name for name in OTHER_DATABASES if name in found)]


def dump_file(database: str) -> str:
    """Name of a database's dump in a set."""
    return f"{database}.dump.age"


def plain_settings(settings: Settings) -> dict[str, str]:
    """The settings that differ from their defaults, without secrets, ports and places of this machine."""
    fields = Settings.model_fields
    return {
        name: str(value)
        for name, field_ in fields.items()
        if (value := getattr(settings, name)) != field_.default
        and not isinstance(value, SecretStr | Path)
        and not name.endswith(("_port", "_host"))
        and value is not None
    }


@contextmanager
def _snapshot(settings: Settings, database: str) -> Iterator[Snapshot]:
    with connect(settings, "backup", database) as connection, connection.cursor() as cursor:
        # pg_dump sets statement_timeout aside for itself; this session must outlive it.
        cursor.execute("set transaction isolation level repeatable read, read only")
        cursor.execute("set local idle_in_transaction_session_timeout = 0")
        cursor.execute(
            "select pg_catalog.pg_export_snapshot(), pg_catalog.clock_timestamp(),"
            " pg_catalog.pg_database_size(pg_catalog.current_database())"
        )
        [(name, taken_at, size)] = cursor.fetchall()
        yield Snapshot(database, connection, name, taken_at, size)


class _Dumping:
    """The dumps of all databases at once, each in a thread of its own; an error ends the others."""

    def __init__(self, settings: Settings, part: Path, recipient: str, snapshots: list[Snapshot]) -> None:
        self._settings, self._part, self._recipient, self._snapshots = settings, part, recipient, snapshots
        self._pool = ThreadPoolExecutor(max_workers=len(snapshots))
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> _Dumping:
        self._futures = {snapshot.database: self._pool.submit(self._dump, snapshot) for snapshot in self._snapshots}
        return self

    def results(self) -> dict[str, tuple[Written, float]]:
        """Database -> written file and seconds. Errors: BackupError of the first that failed."""
        return {database: future.result() for database, future in self._futures.items()}

    def __exit__(self, kind: object, *_: object) -> None:
        if kind:
            for process in self._processes:
                process.kill()
        self._pool.shutdown()

    def _dump(self, snapshot: Snapshot) -> tuple[Written, float]:
        begun = time.monotonic()
        target = self._part / dump_file(snapshot.database)
        written = programs.dump(
            self._settings, snapshot.database, snapshot.name, target, self._recipient, self._processes.append
        )
        return written, time.monotonic() - begun


def pack(folders: Mapping[str, Path], target: Path, recipient: str) -> tuple[Written, dict[str, int]]:
    """Folders as one encrypted tar file, packed while it is written; gives files per folder."""
    counts: dict[str, int] = {}
    failures: list[BaseException] = []
    reading, writing = os.pipe()

    def feed() -> None:
        try:
            with os.fdopen(writing, "wb") as pipe:
                counts.update(_tar(folders, pipe))
        except BaseException as error:
            failures.append(error)

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    try:
        with os.fdopen(reading, "rb") as pipe:
            written = encrypt(pipe, target, recipient)
    finally:
        feeder.join()
    if failures:
        raise BackupError("the files can't be packed", cause=str(failures[0])) from failures[0]
    return written, counts


def _tar(folders: Mapping[str, Path], pipe: IO[bytes]) -> dict[str, int]:
    counts = {}
    with (
        gzip.GzipFile(fileobj=pipe, mode="wb", compresslevel=1) as packed,
        tarfile.open(fileobj=packed, mode="w|") as archive,
    ):
        for name, folder in folders.items():
            base = folder.parent if folder.is_file() else folder
            found = [folder] if folder.is_file() else sorted(folder.rglob("*"))
            files = [file for file in found if file.is_file() and not file.is_symlink()]
            counts[name] = 0
            for file in files:
                with suppress(FileNotFoundError):  # the worker moves files from inbox to archive meanwhile
                    archive.add(file, arcname=f"{name}/{file.relative_to(base)}", recursive=False)
                    counts[name] += 1
    return counts


def _discard(part: Path) -> None:
    shutil.rmtree(part, ignore_errors=True)


def _stored(written: Written) -> Stored:
    return Stored(byte_count=written.byte_count, sha256=written.sha256)


def _server_version(connection: PgConnection) -> str:
    return str(connection.info.parameter_status("server_version"))
