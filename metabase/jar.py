"""
The Metabase program as a file: fetched once, kept only when its checksum is the one its publisher states.

Comes in: a version, its SHA-256, a folder. Goes out: the path of metabase.jar. Nothing else is ever left in the folder.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path

import requests

from metabase.client import MetabaseError

VERSION = "v0.64.6.x"  # the long-term line; docs/metabase.md says which versions may be used
PUBLISHER = "https://downloads.metabase.com"
SECONDS = 60  # without a byte
PART = 1 << 20
BY_HAND = "fetch it on another machine, see docs/metabase.md; until then `panpan metabase preview` shows the dashboards"


def fetch(version: str, sha256: str, folder: Path, publisher: str = PUBLISHER) -> Path:
    """
    The jar of a version, downloaded unless it lies there already.

    Errors: MetabaseError when the network does not allow it, or what came is not what its publisher released.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", sha256.lower()):
        raise MetabaseError(
            "that is no SHA-256 checksum",
            cause=f"expected 64 hexadecimal digits, got {sha256[:70]!r}",
            next=f"copy it from the notes of release {version}: https://github.com/metabase/metabase/releases",
        )
    if not re.fullmatch(r"v0\.\d+(\.\d+)*(\.x)?", version):
        raise MetabaseError(f"{version!r} is no version of the open-source edition", cause="expected such as v0.64.6.x")
    jar = folder / f"metabase-{version}.jar"
    if jar.is_file() and _sha256(jar) == sha256.lower():
        return jar
    address = f"{publisher.rstrip('/')}/{version}/metabase.jar"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".metabase-", suffix=".part") as part:
        found = _receive(address, part)
        if found != sha256.lower():
            raise MetabaseError(
                "what came is not the Metabase that was asked for; nothing of it was kept",
                cause=f"{address} has checksum {found}, wanted was {sha256.lower()}",
                next="compare with the notes of the release, and don't start such a file",
            )
        part.flush()
        jar.unlink(missing_ok=True)
        jar.hardlink_to(part.name)
    jar.chmod(0o644)
    return jar


def _receive(address: str, part: tempfile._TemporaryFileWrapper[bytes]) -> str:
    """Write what an address gives; the checksum of it."""
    digest = hashlib.sha256()
    try:
        with requests.get(address, stream=True, timeout=SECONDS) as answer:
            answer.raise_for_status()
            for piece in answer.iter_content(PART):
                digest.update(piece)
                part.write(piece)
    except requests.RequestException as error:
        raise MetabaseError(f"Metabase can't be downloaded from {address}", cause=str(error), next=BY_HAND) from error
    return digest.hexdigest()


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
