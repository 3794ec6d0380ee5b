"""
The drill: a set is restored into a scratch server and must show what the original showed, to the cent.

Comes in: a set, the key, a function that starts an empty scratch server. Goes out: a verdict with every check, written
to the ledger. The scratch server and its files are gone afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from backups import n8n_cipher, programs
from backups.create import Step, tables_by_database
from backups.describe import describe, prepare
from backups.errors import BackupError
from backups.figures import Figure, differences, read_figures
from backups.globals import apply_globals, create_database, read_globals
from backups.key import BackupKey, fingerprint, read_key
from backups.ledger import Check, Entry, checks_as_json, entries, proven_sets, record
from backups.manifest import FILE, Manifest, damaged_files, read_manifest
from backups.stream import sha256_of
from db.connection import connect
from panpan.errors import PanpanError
from panpan.settings import Settings

N8N_KEY = "PANPAN_N8N_ENCRYPTION_KEY"
SHOWN = 3

# Starts an empty server for a number of bytes and gives settings to reach it as postgres; gone at the end.
Scratch = Callable[[int], AbstractContextManager[Settings]]


@dataclass(frozen=True)
class Verdict:
    """What a verification or a drill found."""

    set_name: str
    checks: dict[str, Check]
    seconds: float
    manifest: Manifest | None = None

    @property
    def is_good(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks.values())

    @property
    def reason(self) -> str | None:
        """Why it is bad, in one line."""
        return "; ".join(f"{name}: {check.found}" for name, check in self.checks.items() if not check.ok) or None


def verify(folder: Path, key: BackupKey, known: list[Entry]) -> tuple[Manifest | None, dict[str, Check]]:
    """
    Everything that can be known of a set without restoring it: seal, checksums, and that the ledger knows it.

    known: the ledger; empty where there is none (yet), as on a new machine.
    """
    checks = {}
    try:
        manifest = read_manifest(folder, key)
        checks["manifest"] = Check(ok=True, found=f"sealed with this key, snapshot of {manifest.snapshot_at:%F %T} UTC")
    except PanpanError as error:
        return None, {"manifest": Check(ok=False, found=f"{error.message}: {error.explained_cause()}")}
    damaged = damaged_files(folder, manifest)
    checks["files"] = _check(damaged, f"{len(manifest.files)} files, {manifest.byte_count} bytes as written")
    created = [entry for entry in known if entry.event == "created" and entry.set_name == folder.name]
    if known:
        recorded = created[-1].manifest_sha256 if created else None
        checks["ledger"] = Check(
            ok=recorded == sha256_of(folder / FILE),
            found="as recorded when it was made"
            if recorded == sha256_of(folder / FILE)
            else "the ledger does not know this manifest; an older or foreign one was put in its place",
        )
    return manifest, checks


def drill(settings: Settings, folder: Path, scratch: Scratch, step: Step = lambda _: None) -> Verdict:
    """
    Examine a set and write the verdict to the ledger.

    Errors: DatabaseError when the ledger can't be reached; a verdict that can't be written is none.
    """
    verdict = examine(settings.backup_key, folder, entries(settings), scratch, step)
    record(
        settings,
        Entry(
            "drilled",
            folder.name,
            "good" if verdict.is_good else "bad",
            verdict.seconds,
            snapshot_at=verdict.manifest.snapshot_at if verdict.manifest else None,
            byte_count=verdict.manifest.byte_count if verdict.manifest else None,
            checks=checks_as_json(verdict.checks),
            reason=verdict.reason,
        ),
    )
    return verdict


def examine(
    key_file: Path,
    folder: Path,
    known: list[Entry],
    scratch: Scratch,
    step: Step = lambda _: None,
) -> Verdict:
    """Restore a set into a scratch server and compare. A lost key, a damaged set, a failing restore: a bad verdict."""
    begun = time.monotonic()
    manifest: Manifest | None = None
    checks: dict[str, Check] = {}
    try:
        key = read_key(key_file)
        step("verifying checksums")
        manifest, checks = verify(folder, key, known)
        if manifest and all(check.ok for check in checks.values()):
            checks["against_previous"] = against_previous(manifest, known)
            with scratch(manifest.database_bytes) as server:
                checks.update(prove(server, folder, manifest, key, step))
    except PanpanError as error:
        checks["restore"] = Check(ok=False, found=f"{error.message}: {error.explained_cause()}")
    except (psycopg2.Error, OSError) as error:
        checks["restore"] = Check(ok=False, found=str(error).strip())
    return Verdict(folder.name, checks, round(time.monotonic() - begun, 3), manifest)


def prove(
    server: Settings,
    folder: Path,
    manifest: Manifest,
    key: BackupKey,
    step: Step = lambda _: None,
) -> dict[str, Check]:
    """
    Restore all databases into an empty server and compare.

    Errors: BackupError or RestoreError when a part does not restore at all.
    """
    names = {name: name for name in manifest.databases}
    restore_databases(server, folder, manifest, key, names, step=step)
    return compare(server, manifest, key, names, step)


def restore_databases(
    server: Settings,
    folder: Path,
    manifest: Manifest,
    key: BackupKey,
    names: dict[str, str],
    *,
    told: Callable[[int], None] = lambda _: None,
    step: Step = lambda _: None,
) -> None:
    """
    Roles, then each database of the set under a name of its own, which must not exist yet.

    told: how many bytes of the encrypted dumps were read so far.
    """
    with connect(server, "postgres", "postgres") as connection:
        apply_globals(connection, manifest.server)
    done = 0
    for name, under in names.items():
        dump = manifest.databases[name]
        step(f"restoring {name}")
        with connect(server, "postgres", "postgres", autocommit=True) as connection:
            create_database(connection, manifest.server, name, under)
        programs.restore(server, under, folder / dump.file, key, told=_shifted(told, done))
        done += manifest.files[dump.file].byte_count


def _shifted(told: Callable[[int], None], by: int) -> Callable[[int], None]:
    return lambda read: told(by + read)


def compare(
    server: Settings,
    manifest: Manifest,
    key: BackupKey,
    names: dict[str, str],
    step: Step = lambda _: None,
) -> dict[str, Check]:
    """Hold restored databases (name in the set -> name now) against the manifest."""
    step("comparing rows, checksums, constraints, grants, sequences")
    found: dict[str, list[str]] = {}
    counts = {"tables": 0, "rows": 0}
    for name, now in names.items():
        with connect(server, "postgres", now) as connection:
            facts = describe(connection)
        original = manifest.databases[name].facts
        counts["tables"] += len(original.tables)
        counts["rows"] += sum(table.rows for table in original.tables.values())
        for kind, problems in original.differences(facts).items():
            found.setdefault(kind, []).extend(f"{name}: {each}" for each in problems)
    checks = {
        "rows": _check(found["rows"], f"{counts['rows']} rows in {counts['tables']} tables"),
        "checksums": _check(found["checksums"], f"{counts['tables']} tables"),
        "constraints": _check(found["constraints"], f"{_count(manifest, 'constraints')}"),
        "grants": _check(found["grants"], f"{_count(manifest, 'grants')}"),
        "sequences": _check(found["sequences"], f"{sum(len(d.facts.sequences) for d in manifest.databases.values())}"),
        "structure": _check(found["structure"], "columns, indexes, views, functions, triggers, comments, owners"),
    }
    with connect(server, "postgres", "postgres") as connection:
        if list(names.values()) == list(names):
            restored = read_globals(connection, list(names))
            checks["roles"] = _check(manifest.server.differences(restored), f"{len(manifest.server.roles)} roles")
    if manifest.warehouse in names:
        step("recomputing the metrics")
        with connect(server, "postgres", names[manifest.warehouse]) as connection:
            prepare(connection)
            checks["metrics"] = compare_metrics(manifest.metrics, read_figures(connection, manifest.metrics))
    if "n8n" in names:
        with connect(server, "postgres", names["n8n"]) as connection:
            checks["n8n_credentials"] = check_n8n_credentials(connection, manifest, key)
    return checks


def compare_metrics(expected: dict[str, Figure], found: dict[str, Figure]) -> Check:
    """Every figure the same, to the last digit."""
    unknown = [name for name, figure in expected.items() if figure.error]
    count = sum(len(figure.values) for figure in expected.values())
    aside = (
        f"; {len(unknown)} could not be computed when the set was made: {', '.join(unknown[:SHOWN])}" if unknown else ""
    )
    return _check(differences(expected, found), f"{count} figures equal{aside}")


def check_n8n_credentials(connection: object, manifest: Manifest, key: BackupKey) -> Check:
    """The restored credentials open with the key that was kept."""
    kept = key.as_of(manifest.key_fingerprints).application_keys
    if N8N_KEY not in kept:
        return Check(ok=False, found="the backup key holds no N8N_ENCRYPTION_KEY")
    if manifest.key_fingerprints.get(N8N_KEY) != fingerprint(N8N_KEY, kept[N8N_KEY]):
        return Check(ok=False, found="the backup key holds another N8N_ENCRYPTION_KEY than the set was made with")
    try:
        opened = n8n_cipher.credentials(connection, kept[N8N_KEY])  # type: ignore[arg-type]
    except BackupError as error:
        return Check(ok=False, found=error.message)
    return Check(ok=True, found=f"{len(opened)} decrypted")


def against_previous(manifest: Manifest, known: list[Entry]) -> Check:
    """
    What the last proven set had must still be there: a table lost before the dump is in no dump.

    A table may go when its program's own migrations went on, and what was received only grows.
    """
    proven = proven_sets(known)
    previous = [e for e in known if e.event == "created" and e.set_name in proven and e.set_name != manifest.set_name
                and e.snapshot_at and e.snapshot_at < manifest.snapshot_at]  # fmt: skip
    if not previous:
        return Check(ok=True, found="this is the first proven set")
    before: dict[str, dict[str, int]] = previous[-1].checks.get("tables", {})
    now = tables_by_database(manifest)
    lost = []
    for database, tables in before.items():
        rows = now.get(database)
        if rows is None:
            lost.append(f"database {database} is gone")
            continue
        migrated = any(rows.get(each, 0) > tables.get(each, 0) for each in MIGRATIONS)
        lost += [f"{database}: table {table} is gone" for table in tables if table not in rows and not migrated]
        lost += [
            f"{database}: {table} had {count} rows, now {rows[table]}"
            for table, count in tables.items()
            if table in rows and table.startswith("raw_") and rows[table] < count
        ]
    return _check(lost, f"nothing lost since {previous[-1].set_name}")


MIGRATIONS = ("ops.applied_migrations", "public.migrations", "public.databasechangelog")


def _check(problems: list[str], well: str) -> Check:
    more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return Check(ok=not problems, found=", ".join(problems[:SHOWN]) + more if problems else well)


def _count(manifest: Manifest, kind: str) -> int:
    return sum(len(dump.facts.structure[kind]) for dump in manifest.databases.values())
