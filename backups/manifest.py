"""
The manifest of a set: what is in it, as of which moment, and what a true restore must show. Encrypted and sealed.
"""

from __future__ import annotations

import gzip
import io
import json
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ValidationError

from backups.describe import Facts
from backups.errors import BackupError
from backups.figures import Figure
from backups.globals import Globals
from backups.key import BackupKey
from backups.stream import Written, decrypted_bytes, encrypt, sha256_of

FILE = "manifest.age"
FORMAT = 1


class Stored(BaseModel):
    """One encrypted file of the set."""

    byte_count: int
    sha256: str


class Dump(BaseModel):
    """One database: its file, the moment of its snapshot, and what is in it."""

    file: str
    snapshot_at: datetime
    database_bytes: int
    seconds: float
    facts: Facts


class Manifest(BaseModel):
    """Everything known of a set when it was made."""

    format: int = FORMAT
    set_name: str
    created_at: datetime
    seconds: float
    versions: dict[str, str]
    warehouse: str
    databases: dict[str, Dump]
    server: Globals
    metrics: dict[str, Figure]
    key_fingerprints: dict[str, str]
    files: dict[str, Stored]
    folders: dict[str, int]
    settings: dict[str, str]

    @property
    def byte_count(self) -> int:
        """Size of the encrypted files, the manifest not counted."""
        return sum(file.byte_count for file in self.files.values())

    @property
    def database_bytes(self) -> int:
        """Size of the databases on the original server."""
        return sum(dump.database_bytes for dump in self.databases.values())

    @property
    def snapshot_at(self) -> datetime:
        """The earliest of the databases' snapshots: nothing after it is promised."""
        return min(dump.snapshot_at for dump in self.databases.values())


def write_manifest(folder: Path, manifest: Manifest, key: BackupKey) -> Written:
    """Write it sealed and encrypted."""
    content = manifest.model_dump_json()
    sealed = json.dumps({"seal": key.seal(content.encode()), "manifest": content})
    return encrypt(io.BytesIO(gzip.compress(sealed.encode(), 6)), folder / FILE, key.recipient)


def read_manifest(folder: Path, key: BackupKey) -> Manifest:
    """
    The manifest of a set.

    Errors: BackupError when it is missing, does not open with this key, was not made with it, or is another set's.
    """
    file = folder / FILE
    if not file.is_file():
        raise BackupError(f"{folder.name} is no backup set", cause=f"{FILE} is missing in {folder}")
    plain = decrypted_bytes(file, key)
    try:
        sealed = json.loads(gzip.decompress(plain))
        content = str(sealed["manifest"])
        is_ours = key.sealed(content.encode(), str(sealed["seal"]))
        manifest = Manifest.model_validate_json(content)
    except (OSError, EOFError, ValueError, KeyError, TypeError, ValidationError) as error:
        raise BackupError(f"the manifest of {folder.name} can't be read", cause=str(error)) from error
    if not is_ours:
        raise BackupError(f"the manifest of {folder.name} was not written with this key", cause="its seal is wrong")
    if manifest.set_name != folder.name:
        raise BackupError(
            f"the manifest of {folder.name} belongs to another set", cause=f"it says it is {manifest.set_name}"
        )
    return manifest


def damaged_files(folder: Path, manifest: Manifest) -> list[str]:
    """What is missing, changed, or does not belong into the set; empty when all is as it was written."""
    found = []
    for name, stored in manifest.files.items():
        file = folder / name
        if not file.is_file():
            found.append(f"{name} is missing")
        elif file.stat().st_size != stored.byte_count:
            found.append(f"{name} has {file.stat().st_size} bytes instead of {stored.byte_count}")
        elif sha256_of(file) != stored.sha256:
            found.append(f"{name} was changed")
    strangers = {file.name for file in folder.iterdir()} - set(manifest.files) - {FILE}
    return found + [f"{name} does not belong to the set" for name in sorted(strangers)]
