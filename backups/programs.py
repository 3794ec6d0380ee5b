"""
PostgreSQL's own pg_dump and pg_restore, fed and read through pipes; passwords go by a private file, never as words.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from backups.errors import BackupError, RestoreError
from backups.key import BackupKey
from backups.stream import Written, decrypted, encrypt
from db.connection import Role, database_url
from db.schema import program_folder
from panpan.settings import Settings

# The fastest level: with the default one the dump would wait for the compressor (docs/decisions/0025).
COMPRESSION = "gzip:1"
TAIL_BYTES = 4000


def version(settings: Settings) -> str:
    """pg_dump's version."""
    answer = subprocess.run(
        [str(program_folder(settings) / "pg_dump"), "--version"], capture_output=True, text=True, check=False
    )
    found = re.search(r"\d+(\.\d+)*", answer.stdout)
    return found[0] if found else ""


@contextmanager
def environment(settings: Settings, role: Role) -> Iterator[dict[str, str]]:
    """What the programs are told: the password in a file that only we can read, gone afterwards."""
    url = database_url(settings, role)
    escaped = str(url.password).replace("\\", "\\\\").replace(":", "\\:")
    with tempfile.TemporaryDirectory(prefix="panpan-") as folder:
        file = Path(folder) / "pgpass"
        file.touch(mode=0o600)
        file.write_text(f"*:*:*:*:{escaped}\n", encoding="utf-8")
        yield {"PGPASSFILE": str(file), "PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def dump(
    settings: Settings,
    database: str,
    snapshot: str,
    target: Path,
    recipient: str,
    started: Callable[[subprocess.Popen[bytes]], None] = lambda _: None,
) -> Written:
    """
    Dump a database as of an exported snapshot into an encrypted file of pg_dump's custom format.

    Errors: BackupError with what pg_dump said; a dump that ended early is never taken for a whole one.
    """
    words = [
        *("--format=custom", f"--compress={COMPRESSION}", f"--snapshot={snapshot}", "--no-subscriptions"),
        "--encoding=UTF8",
    ]
    with (
        environment(settings, "backup") as variables,
        subprocess.Popen(
            [*program(settings, "pg_dump", "backup"), *words, database],
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process,
        Said(process.stderr) as said,
    ):
        started(process)
        try:
            written = encrypt(process.stdout, target, recipient)
        except BaseException:
            process.kill()
            raise
        code = process.wait()
    if code != 0:
        raise BackupError(f"database {database} can't be dumped", cause=f"pg_dump: {said.text or ending(code)}")
    return written


def restore(
    settings: Settings,
    database: str,
    file: Path,
    key: BackupKey,
    *,
    options: Sequence[str] = (),
    told: Callable[[int], None] = lambda _: None,
) -> None:
    """
    Restore an encrypted dump into an existing database as the superuser.

    Errors: BackupError when the file does not open; RestoreError with what pg_restore said.
    """
    with (
        environment(settings, "postgres") as variables,
        decrypted(file, key, told) as plain,
        subprocess.Popen(
            [*program(settings, "pg_restore", "postgres"), "--exit-on-error", f"--dbname={database}", *options],
            env=variables,
            stdin=plain,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process,
        Said(process.stderr) as said,
    ):
        try:
            code = process.wait()
        except BaseException:
            process.kill()
            raise
    if code != 0:
        raise RestoreError(f"{file.name} can't be restored", cause=f"pg_restore: {said.text or ending(code)}")


class Said:
    """The last words of a program, read while it runs so that it never waits for us."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._stream = stream
        self._tail = b""
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Said:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _read(self) -> None:
        if self._stream is None:
            return
        while data := self._stream.read(TAIL_BYTES):
            self._tail = (self._tail + data)[-TAIL_BYTES:]

    @property
    def text(self) -> str:
        self._thread.join()
        return self._tail.decode("utf-8", errors="replace").strip()


def program(settings: Settings, name: str, role: Role) -> list[str]:
    """The first words of a command: one of PostgreSQL's programs, connected as a role."""
    url = database_url(settings, role)
    return [
        str(program_folder(settings) / name),
        *("--host", str(url.host), "--port", str(url.port), "--username", role, "--no-password"),
    ]


def ending(code: int) -> str:
    """How a program ended, in words."""
    return f"ended by signal {-code}" if code < 0 else f"ended with code {code}"
