"""
A folder on another machine, reached by SFTP.

Comes in: sftp://user@host:port/folder with the other machine's host key and a key file or password. Goes out: a store
for copies. Who answers with another host key than the one given gets nothing.
"""

from __future__ import annotations

import base64
import posixpath
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import paramiko

from backups.errors import BackupError
from backups.sets import PART
from backups.stream import CHUNK

SECONDS = 30


@dataclass(frozen=True)
class SftpStore:
    """A folder of an SFTP server; files are written by temporary name and renamed. One connection per act."""

    host: str
    port: int
    user: str
    folder: str
    host_key: str  # "ssh-ed25519 AAAA...", as `ssh-keyscan` prints it behind the name
    key_file: Path | None = None
    password: str | None = None

    def put(self, name: str, file: Path) -> None:
        target = posixpath.join(self.folder, name)
        part = posixpath.join(posixpath.dirname(target), f"{PART}{posixpath.basename(target)}")
        with self._connected() as sftp:
            _make_folders(sftp, posixpath.dirname(target))
            sftp.put(str(file), part)
            sftp.posix_rename(part, target)

    def names(self) -> set[str]:
        with self._connected() as sftp:
            try:
                sftp.stat(self.folder)
            except FileNotFoundError as error:
                raise BackupError(
                    "the off-site folder is missing", cause=f"{self.folder} isn't on {self.host}"
                ) from error
            return set(_files_below(sftp, self.folder, ""))

    def read(self, name: str) -> Iterator[bytes]:
        with self._connected() as sftp, sftp.open(posixpath.join(self.folder, name), "rb") as stream:
            stream.prefetch()
            while data := stream.read(CHUNK):
                yield data

    def remove(self, name: str) -> None:
        with self._connected() as sftp, suppress(FileNotFoundError):
            sftp.remove(posixpath.join(self.folder, name))

    def lock_state(self, name: str) -> str:
        return "a folder has no object lock"

    @contextmanager
    def _connected(self) -> Iterator[paramiko.SFTPClient]:
        """Errors: BackupError when the host key can't be read; OSError, SSHException when the machine can't be had."""
        with paramiko.SSHClient() as client:
            kind, _, text = self.host_key.partition(" ")
            name = self.host if self.port == paramiko.config.SSH_PORT else f"[{self.host}]:{self.port}"
            try:
                known = paramiko.PKey.from_type_string(kind, _decoded(text))
            except (paramiko.SSHException, ValueError) as error:
                raise BackupError(
                    "the off-site host key can't be read",
                    cause="expected a kind and a key, as ssh-keyscan prints them",
                    next="correct PANPAN_OFFSITE_HOST_KEY",
                ) from error
            client.get_host_keys().add(name, kind, known)
            client.set_missing_host_key_policy(paramiko.RejectPolicy())
            client.connect(
                self.host,
                self.port,
                self.user,
                password=self.password,
                key_filename=str(self.key_file) if self.key_file else None,
                allow_agent=False,
                look_for_keys=False,
                timeout=SECONDS,
                banner_timeout=SECONDS,
                auth_timeout=SECONDS,
            )
            with client.open_sftp() as sftp:
                yield sftp


def _decoded(text: str) -> bytes:
    """The key of "AAAA... a comment". Errors: ValueError."""
    return base64.b64decode(text.split(maxsplit=1)[0] if text.strip() else "", validate=True)


def _make_folders(sftp: paramiko.SFTPClient, folder: str) -> None:
    try:
        sftp.stat(folder)
    except FileNotFoundError:
        _make_folders(sftp, posixpath.dirname(folder))
        sftp.mkdir(folder, 0o700)


def _files_below(sftp: paramiko.SFTPClient, folder: str, prefix: str) -> Iterator[str]:
    for entry in sftp.listdir_attr(folder):
        if stat.S_ISDIR(entry.st_mode or 0):
            yield from _files_below(sftp, posixpath.join(folder, entry.filename), f"{prefix}{entry.filename}/")
        else:
            yield f"{prefix}{entry.filename}"
