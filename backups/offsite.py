"""
Copies of proven sets somewhere else: a folder (another disk, a mounted share), one by SFTP, or an S3-compatible store.

A copy counts when every file was read back and has the checksum of the manifest; a store's own word is not enough.
The sets are encrypted already, so the place needs no trust, only room. The key never goes there.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol
from urllib.parse import SplitResult, urlsplit

import boto3
import botocore.config
import botocore.exceptions
import paramiko

from backups.errors import BackupError
from backups.key import BackupKey
from backups.ledger import Check, Entry, checks_as_json, proven_sets, record
from backups.manifest import FILE, read_manifest
from backups.sets import NAME, PART
from backups.sftp import SftpStore
from backups.stream import CHUNK, sha256_of, sync_path
from panpan.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TRIES = 5
# What a place may answer; each is said in the ledger as a bad copy.
PLACE_ERRORS = (
    BackupError,
    OSError,
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
    paramiko.SSHException,
)


class Store(Protocol):
    """A place for copies, by name of file in it."""

    def put(self, name: str, file: Path) -> None: ...

    def names(self) -> set[str]: ...

    def read(self, name: str) -> Iterator[bytes]: ...

    def remove(self, name: str) -> None: ...

    def lock_state(self, name: str) -> str: ...


@dataclass(frozen=True)
class FolderStore:
    """A folder, written by temporary name and rename."""

    folder: Path

    def put(self, name: str, file: Path) -> None:
        target = self.folder / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = target.with_name(f"{PART}{target.name}")
        with file.open("rb") as source, part.open("wb") as copy:
            shutil.copyfileobj(source, copy, CHUNK)
            copy.flush()
            os.fsync(copy.fileno())
        part.replace(target)
        sync_path(target.parent)

    def names(self) -> set[str]:
        if not self.folder.is_dir():
            raise BackupError("the off-site folder is missing", cause=f"{self.folder} isn't there; is it mounted?")
        files = (file.relative_to(self.folder) for file in self.folder.rglob("*") if file.is_file())
        return {str(PurePosixPath(file)) for file in files}

    def read(self, name: str) -> Iterator[bytes]:
        with (self.folder / name).open("rb") as stream:
            while data := stream.read(CHUNK):
                yield data

    def remove(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)

    def lock_state(self, name: str) -> str:
        return "a folder has no object lock"


@dataclass(frozen=True)
class S3Store:
    """A bucket of any store that speaks S3; uploads carry their checksum, so the store refuses a changed one."""

    client: S3Client
    bucket: str
    prefix: str

    def put(self, name: str, file: Path) -> None:
        digest = base64.b64encode(bytes.fromhex(sha256_of(file))).decode()
        if file.stat().st_size < 64 * 2**20:
            with file.open("rb") as body:
                self.client.put_object(Bucket=self.bucket, Key=self.prefix + name, Body=body, ChecksumSHA256=digest)
        else:  # in parts, each with a checksum of its own
            self.client.upload_file(
                str(file), self.bucket, self.prefix + name, ExtraArgs={"ChecksumAlgorithm": "SHA256"}
            )

    def names(self) -> set[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        return {item["Key"].removeprefix(self.prefix) for page in pages for item in page.get("Contents", [])}

    def read(self, name: str) -> Iterator[bytes]:
        body = self.client.get_object(Bucket=self.bucket, Key=self.prefix + name)["Body"]
        yield from body.iter_chunks(CHUNK)

    def remove(self, name: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=self.prefix + name)

    def lock_state(self, name: str) -> str:
        try:
            answer = self.client.get_object_retention(Bucket=self.bucket, Key=self.prefix + name)["Retention"]
            return f"locked ({answer['Mode'].lower()}) until {answer['RetainUntilDate']:%Y-%m-%d}"
        except botocore.exceptions.ClientError:
            return "not locked: whoever has the access key can delete it"


def store(settings: Settings) -> Store | None:
    """The place of the settings; None when there is none. Errors: BackupError when the setting is no place."""
    if settings.offsite is None:
        return None
    parts = urlsplit(settings.offsite)
    if parts.scheme == "sftp":
        return _sftp_store(settings, parts)
    if parts.scheme != "s3":
        return FolderStore(Path(parts.path if parts.scheme == "file" else settings.offsite).absolute())
    if settings.offsite_access_key is None or settings.offsite_secret_key is None:
        raise BackupError(
            "the off-site store needs its keys",
            next="set PANPAN_OFFSITE_ACCESS_KEY and PANPAN_OFFSITE_SECRET_KEY",
        )
    client = boto3.client(
        "s3",
        endpoint_url=settings.offsite_endpoint,
        aws_access_key_id=settings.offsite_access_key.get_secret_value(),
        aws_secret_access_key=settings.offsite_secret_key.get_secret_value(),
        region_name="us-east-1",
        config=botocore.config.Config(
            retries={"max_attempts": TRIES, "mode": "standard"}, connect_timeout=10, read_timeout=60,
            s3={"addressing_style": "path"},
        ),
    )  # fmt: skip
    prefix = parts.path.strip("/")
    return S3Store(client, parts.netloc, f"{prefix}/" if prefix else "")


def _sftp_store(settings: Settings, parts: SplitResult) -> SftpStore:
    if not (parts.hostname and parts.username and settings.offsite_host_key):
        raise BackupError(
            "the off-site machine is not named whole",
            cause="expected sftp://user@host/folder in PANPAN_OFFSITE and its host key in PANPAN_OFFSITE_HOST_KEY",
            next=f"ssh-keyscan {parts.hostname or 'HOST'} prints the host key; compare it with the machine's own",
        )
    password = settings.offsite_secret_key
    return SftpStore(
        parts.hostname,
        parts.port or 22,
        parts.username,
        parts.path or "/",
        settings.offsite_host_key,
        settings.offsite_key_file,
        password.get_secret_value() if password else None,
    )


def copy(settings: Settings, place: Store, folder: Path, key: BackupKey) -> Check:
    """
    Copy one set and read it back; the manifest goes last, so that a half copy is no set.

    The verdict is in the ledger, good or bad.
    """
    begun = time.monotonic()
    try:
        manifest = read_manifest(folder, key)
        there = place.names()
        for name in (*manifest.files, FILE):
            if f"{folder.name}/{name}" not in there or _differs(place, folder, name):
                place.put(f"{folder.name}/{name}", folder / name)
        problems = check_copy(place, folder.name, {name: file.sha256 for name, file in manifest.files.items()}
                              | {FILE: sha256_of(folder / FILE)})  # fmt: skip
        state = place.lock_state(f"{folder.name}/{FILE}")
        check = Check(ok=not problems, found=", ".join(problems) or f"{len(manifest.files) + 1} files equal; {state}")
    except PLACE_ERRORS as error:
        check = Check(ok=False, found=_said(error))
    _record(settings, "copied", folder.name, check, time.monotonic() - begun)
    return check


def check(settings: Settings, place: Store, known: list[Entry], read: int | None = None) -> dict[str, Check]:
    """
    Read copies back and hold them against the ledger: missing, changed, or none at all is bad.

    read: how many to read back, those not read for longest; of the others only that every file is there. None: all.
    Needs no key and no local set: the checksums were written to the ledger when the copy was made.
    """
    expected = expected_copies(known)
    to_read = set(by_last_check(expected, known)[:read])
    checks: dict[str, Check] = {}
    try:
        there = place.names()
        for set_name, files in sorted(expected.items(), reverse=True):
            begun = time.monotonic()
            if set_name in to_read:
                problems = check_copy(place, set_name, files, there)
                well = f"{len(files)} files equal; {place.lock_state(f'{set_name}/{FILE}')}"
            else:
                problems = [f"{set_name}/{name} is missing" for name in files if f"{set_name}/{name}" not in there]
                well = f"{len(files)} files there"
            checks[set_name] = Check(ok=not problems, found=", ".join(problems) or well)
            if problems or set_name in to_read:
                _record(settings, "checked_copy", set_name, checks[set_name], time.monotonic() - begun)
    except PLACE_ERRORS as error:
        checks["store"] = Check(ok=False, found=_said(error))
        newest = max(expected, default="none")
        _record(settings, "checked_copy", newest, checks["store"], 0.0)
    if not expected:
        checks["store"] = Check(ok=False, found="there is no copy yet")
    return checks


def by_last_check(names: Iterable[str], known: list[Entry]) -> list[str]:
    """Sets, the one not read back for longest first; a copy is read back when it is made."""
    order = {entry.set_name: place for place, entry in enumerate(known) if entry.event in ("copied", "checked_copy")}
    return sorted(names, key=lambda name: order.get(name, -1))


def check_copy(place: Store, set_name: str, files: dict[str, str], there: set[str] | None = None) -> list[str]:
    """What is wrong with a copy: files missing or with other contents."""
    names = place.names() if there is None else there
    problems = []
    for name, sha256 in files.items():
        path = f"{set_name}/{name}"
        if path not in names:
            problems.append(f"{path} is missing")
        elif _sha256(place, path) != sha256:
            problems.append(f"{path} was changed")
    return problems


def expected_copies(known: list[Entry]) -> dict[str, dict[str, str]]:
    """Set -> file -> checksum of the copies that should be there, by the ledger."""
    removed = {entry.set_name for entry in known if entry.event == "removed"}
    copied = {entry.set_name for entry in known if entry.event == "copied" and entry.is_good} - removed
    files = {entry.set_name: dict(entry.checks.get("files", {})) for entry in known if entry.event == "created"}
    return {name: files[name] for name in copied if files.get(name)}


def good_copies(known: list[Entry]) -> set[str]:
    """Sets whose copy was good when it was last looked at; the others are copied again."""
    latest = {entry.set_name: entry.is_good for entry in known if entry.event in ("copied", "checked_copy")}
    return {name for name in expected_copies(known) if latest[name]}


@contextmanager
def answering() -> Iterator[None]:
    """Errors: BackupError instead of whatever a place that does not answer, or refuses, raises."""
    try:
        yield
    except BackupError:
        raise
    except PLACE_ERRORS as error:
        raise BackupError(
            "the place of the copies can't be used",
            cause=_said(error),
            next="check PANPAN_OFFSITE, its keys in the home's settings.env, and the connection",
        ) from error


def fetch(place: Store, set_name: str | None, target: Path) -> Path:
    """
    Bring a copy back as a set, the newest when none is named.

    Errors: BackupError when there is none, or the set is here already.
    """
    there = place.names()
    whole = {name.partition("/")[0] for name in there if name.endswith(f"/{FILE}")}
    chosen = set_name or max(filter(NAME.fullmatch, whole), default=None)
    if chosen is None or chosen not in whole or NAME.fullmatch(chosen) is None:
        raise BackupError(
            f"there is no copy of set {chosen}" if chosen else "there is no copy of any set",
            cause=f"whole sets there: {', '.join(sorted(whole)[-5:]) or 'none'}",
        )
    set_name = chosen
    if (target / set_name).exists():
        raise BackupError(
            f"set {set_name} is here already",
            cause=f"it lies in {target / set_name}",
            next=f"bin/panpan backups verify {target / set_name}; if it is damaged, move it away and fetch again",
        )
    names = sorted(name for name in there if name.startswith(f"{set_name}/"))
    part = target / f"{PART}{set_name}"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name in names:
        with (part / name.removeprefix(f"{set_name}/")).open("wb") as stream:
            for data in place.read(name):
                stream.write(data)
    return part.rename(target / set_name)


def age(known: list[Entry], now: datetime) -> float | None:
    """Hours since the snapshot of the newest good copy; None when there is none."""
    proven = proven_sets(known)
    moments = {e.set_name: e.snapshot_at for e in known if e.event == "created" and e.snapshot_at}
    copied = [moments[e.set_name] for e in known if e.event == "copied" and e.is_good
              and e.set_name in proven and e.set_name in moments]  # fmt: skip
    newest = max((moment for moment in copied if moment), default=None)
    return (now.astimezone(UTC) - newest).total_seconds() / 3600 if newest else None


def _differs(place: Store, folder: Path, name: str) -> bool:
    return _sha256(place, f"{folder.name}/{name}") != sha256_of(folder / name)


def _sha256(place: Store, path: str) -> str:
    digest = hashlib.sha256()
    for data in place.read(path):
        digest.update(data)
    return digest.hexdigest()


def _said(error: Exception) -> str:
    return f"{error.message}: {error.explained_cause()}" if isinstance(error, BackupError) else str(error)


def _record(settings: Settings, event: str, set_name: str, found: Check, seconds: float) -> None:
    record(
        settings,
        Entry(event, set_name, "good" if found.ok else "bad", seconds, checks=checks_as_json({"copy": found}),
              reason=None if found.ok else found.found),
    )  # fmt: skip
