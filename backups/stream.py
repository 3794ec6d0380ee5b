"""
Encrypting and decrypting as a stream: plain text goes through pipes and memory, never onto a disk.

The format is age's: authenticated in blocks of 64 KiB, so a changed, cut or appended file does not open.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyrage
from pyrage import x25519

from backups.errors import BackupError
from backups.key import BackupKey

CHUNK = 2**20
NO_KEY_FITS = "No matching keys"  # how the library says it


@dataclass(frozen=True)
class Written:
    """An encrypted file: its size and checksum."""

    byte_count: int
    sha256: str


class HashingWriter:
    """A file that is counted and hashed while it is written."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self.byte_count = 0

    def write(self, data: bytes) -> int:
        self._stream.write(data)
        self._hash.update(data)
        self.byte_count += len(data)
        return len(data)

    def flush(self) -> None:
        self._stream.flush()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


class CountingReader:
    """A file that tells how far it was read."""

    def __init__(self, stream: IO[bytes], told: Callable[[int], None]) -> None:
        self._stream = stream
        self._told = told
        self._done = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._done += len(data)
        self._told(self._done)
        return data


def encrypt(source: Any, target: Path, recipient: str) -> Written:
    """
    Write everything the source gives into a new encrypted file, private and synced.

    Errors: BackupError when the disk is full or the file can't be written; what was written stays for the caller.
    """
    try:
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            writer = HashingWriter(stream)
            pyrage.encrypt_io(source, writer, [x25519.Recipient.from_str(recipient)])
            stream.flush()
            os.fsync(stream.fileno())
    except Exception as error:  # the library raises errors of its own; a full disk comes through it too
        raise BackupError(f"{target.name} can't be written", cause=str(error), next="make room on the disk") from error
    return Written(writer.byte_count, writer.sha256)


def decrypt(source: Any, target: Any, key: BackupKey, name: str) -> None:
    """
    Write the plain text of an encrypted stream to the target.

    Errors: BackupError when the key is another one or the stream was changed or cut; BrokenPipeError passes.
    """
    try:
        pyrage.decrypt_io(source, target, [x25519.Identity.from_str(each) for each in key.identities])
    except Exception as error:
        if "ipe" in str(error) and "roken" in str(error):
            raise BrokenPipeError from error
        if NO_KEY_FITS in str(error):
            raise BackupError(
                f"{name} can't be decrypted: it was made with another key",
                cause=f"none of the {len(key.identities)} keys in the key's file opens it",
                next="use a copy of backup.key from when the set was made, or a later one: it holds the earlier too",
            ) from error
        raise BackupError(
            f"{name} can't be decrypted",
            cause=f"it was changed or cut ({error})",
            next="use another set",
        ) from error


@contextmanager
def decrypted(file: Path, key: BackupKey, told: Callable[[int], None] = lambda _: None) -> Iterator[IO[bytes]]:
    """
    The plain text of an encrypted file, as a pipe fed by a thread.

    Errors: BackupError at the end when the file did not open to its last byte; what was read before may be anything.
    """
    reading, writing = os.pipe()
    failures: list[Exception] = []

    def feed() -> None:
        try:
            with os.fdopen(writing, "wb", CHUNK) as target, file.open("rb") as source:
                decrypt(CountingReader(source, told), target, key, file.name)
        except BrokenPipeError:
            pass  # the reader had enough; its own exit code says whether that was right
        except Exception as error:
            failures.append(error)

    feeder = threading.Thread(target=feed, daemon=True)
    with os.fdopen(reading, "rb", CHUNK) as stream:
        feeder.start()
        try:
            yield stream
        finally:
            stream.close()
            feeder.join()
    if failures:
        raise failures[0]


def decrypted_bytes(file: Path, key: BackupKey) -> bytes:
    """The plain text of a small encrypted file."""
    with decrypted(file, key) as stream:
        return stream.read()


def sha256_of(file: Path) -> str:
    """Checksum of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync_path(path: Path) -> None:
    """Make a file, or the names in a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
