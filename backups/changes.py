"""
Point in time: a base copy of the whole server and every change since, so that any moment between can be had again.

Comes in: the running server. Goes out: base/<name>/base.tar.age (encrypted) and segments/ (the write-ahead log as it is
written, seconds behind). `python -m backups.changes` receives until SIGTERM. Off unless PANPAN_POINT_IN_TIME says so.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

from backups.errors import BackupError
from backups.key import BackupKey
from backups.ledger import Check
from backups.programs import Said, ending, environment, program
from backups.sets import NAME, PART, made_at, new_name, require_room
from backups.stream import decrypted, encrypt, sync_path
from db.connection import connect
from panpan.errors import SettingsError, UsageError
from panpan.settings import Settings, load_settings

SLOT = "panpan_changes"
TAR = "base.tar.age"
FACTS = "base.json"
KEPT = 2  # bases; the changes since the older one stay
EVERY = timedelta(days=7)
SEGMENT = re.compile(r"[0-9A-F]{24}(\.partial)?|[0-9A-F]{8}\.history")
BEHIND_BYTES = 64 * 2**20  # four segments; a stream that waits is behind by more after minutes of work


@dataclass(frozen=True)
class Base:
    """A base copy: its folder, when it was begun, and the first segment of changes that it needs."""

    folder: Path
    made_at: datetime
    first_segment: str


def bases(folder: Path) -> list[Base]:
    """All whole bases in a folder of changes, the newest first."""
    found = []
    for each in sorted((folder / "base").glob("*"), reverse=True):
        if NAME.fullmatch(each.name):
            facts = json.loads((each / FACTS).read_text(encoding="utf-8"))
            found.append(Base(each, made_at(each.name), facts["first_segment"]))
    return found


def make_base(settings: Settings, key: BackupKey) -> Base:
    """
    Copy the whole server while it runs, encrypted as it comes; older bases and the changes before them go.

    Errors: BackupError with what pg_basebackup said, or when there is no room.
    """
    folder = settings.changes_folder / "base"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with connect(settings, "backup") as connection, connection.cursor() as cursor:
        cursor.execute(
            "select sum(pg_database_size(oid)) from pg_database where has_database_privilege(oid, 'connect')"
        )
        [(size,)] = cursor.fetchall()
    require_room(folder, int(size))
    name = new_name(datetime.now(UTC))
    part = folder / f"{PART}{name}"
    part.mkdir(mode=0o700)
    try:
        first_segment = _copy_server(settings, part / TAR, key)
        (part / FACTS).write_text(json.dumps({"first_segment": first_segment}), encoding="utf-8")
        target = part.rename(folder / name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    sync_path(folder)
    _remove_old(settings)
    return Base(target, made_at(name), first_segment)


def is_base_due(settings: Settings, now: datetime) -> bool:
    """Whether the newest base is a week old, or missing."""
    newest = next(iter(bases(settings.changes_folder)), None)
    return newest is None or now - newest.made_at > EVERY


def check(settings: Settings) -> Check:
    """Whether changes arrive, judged by the server: what it wrote that was not received yet."""
    with connect(settings, "backup") as connection, connection.cursor() as cursor:
        cursor.execute(
            "select active, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint"
            " from pg_replication_slots where slot_name = %s",
            (SLOT,),
        )
        row = cursor.fetchone()
    newest = next(iter(bases(settings.changes_folder)), None)
    if row is None or not row[0]:
        return Check(ok=False, found="changes are not received: the program for it does not run")
    if row[1] is None or row[1] > BEHIND_BYTES:
        return Check(ok=False, found="changes are received too slowly, or some were lost: make a new base")
    if newest is None:
        return Check(ok=False, found="changes are received, but there is no base to apply them to")
    return Check(ok=True, found=f"any moment since {newest.made_at:%Y-%m-%d %H:%M} UTC can be restored")


def unpack(base: Base, key: BackupKey, target: Path) -> None:
    """
    The server's files into an empty folder. Errors: BackupError when the file does not open or holds anything else.

    Member by member: `extractall` asks for a filter from Python 3.12 on and knows none before 3.11.4, Debian 12's.
    """
    with decrypted(base.folder / TAR, key) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        for member in tar:
            place = (target / member.name).resolve()
            source = tar.extractfile(member) if member.isfile() else None
            if not place.is_relative_to(target.resolve()) or not (source or member.isdir()):
                raise BackupError(f"the base has a strange file {member.name!r}", next="take another base")
            if source is None:
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
                continue
            with place.open("wb") as written:
                shutil.copyfileobj(source, written)
            place.chmod(0o600)


def copy_segments(source: Path, target: Path) -> None:
    """The received changes for a server to read; the segment being written counts as far as it is."""
    target.mkdir(mode=0o700)
    for file in (source / "segments").iterdir():
        if SEGMENT.fullmatch(file.name):
            shutil.copyfile(file, target / file.name.removesuffix(".partial"))


def recovery_settings(segments: Path, moment: datetime | None) -> dict[str, str]:
    """What the server is told: where changes are, and up to when they are applied (None: all there are)."""
    given = {"restore_command": f'cp "{segments}/%f" "%p"', "recovery_target_action": "promote"}
    if moment is not None:
        given["recovery_target_time"] = f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00"
    return given


def base_before(found: list[Base], moment: datetime | None) -> Base:
    """The newest base made before a moment. Errors: UsageError when there is none."""
    for base in found:
        if moment is None or base.made_at <= moment:
            return base
    oldest = f"the oldest base is of {found[-1].made_at:%Y-%m-%d %H:%M:%S} UTC" if found else "there is no base"
    raise UsageError("that moment can't be restored", cause=oldest, next="bin/panpan backups restore brings back a set")


def main() -> None:
    """Receive changes until told to stop; the slot keeps on the server what is not received yet."""
    settings = load_settings()
    if not settings.point_in_time:
        raise SettingsError("changes are not wanted", cause="PANPAN_POINT_IN_TIME is off")
    target = settings.changes_folder / "segments"
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    words = [*program(settings, "pg_receivewal", "backup"), f"--directory={target}", f"--slot={SLOT}"]
    with environment(settings, "backup") as variables:
        subprocess.run([*words, "--create-slot", "--if-not-exists"], env=variables, check=True)
        # Each change is synced at once; a lost connection is taken up again by the program itself.
        process = subprocess.Popen([*words, "--synchronous", "--status-interval=5"], env=variables)

        def end(number: int, frame: FrameType | None) -> None:
            process.send_signal(signal.SIGINT)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        sys.stdout.write("receiving changes\n")
        sys.stdout.flush()
        sys.exit(process.wait())


def _copy_server(settings: Settings, target: Path, key: BackupKey) -> str:
    """pg_basebackup into an encrypted file; gives the first segment of changes it needs."""
    words = [
        *program(settings, "pg_basebackup", "backup"),
        *("--pgdata=-", "--format=tar", "--wal-method=fetch", "--checkpoint=fast", "--verbose"),
    ]
    with (
        environment(settings, "backup") as variables,
        subprocess.Popen(
            words, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process,
        Said(process.stderr) as said,
    ):
        try:
            encrypt(process.stdout, target, key.recipient)
        except BaseException:
            process.kill()
            raise
        code = process.wait()
    found = re.search(r"start point: ([0-9A-F]+)/([0-9A-F]+) on timeline (\d+)", said.text)
    if code != 0 or found is None:
        raise BackupError("the server can't be copied", cause=f"pg_basebackup: {said.text or ending(code)}")
    high, low, timeline = int(found[1], 16), int(found[2], 16), int(found[3])
    return f"{timeline:08X}{high:08X}{low // 2**24:08X}"


def _remove_old(settings: Settings) -> None:
    """Bases but for the newest ones, and changes nobody needs any more."""
    known = bases(settings.changes_folder)
    for base in known[KEPT:]:
        shutil.rmtree(base.folder)
    first = known[:KEPT][-1].first_segment
    segments = settings.changes_folder / "segments"
    for file in segments.iterdir() if segments.is_dir() else ():
        # Names sort by time within a timeline; of another timeline (a restored server's) all stay.
        if SEGMENT.fullmatch(file.name) and file.name[:8] == first[:8] and file.name[8:24] < first[8:]:
            file.unlink()


if __name__ == "__main__":
    main()
