"""
Files several processes share: private ones replaced as a whole, and locks against two at once.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from panpan.errors import ServerError


def write_private(file: Path, text: str) -> None:
    """Replace a file as a whole (a reader sees the old or the new text), readable by its owner alone."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def lock(file: Path, *, wait_seconds: float = 600) -> Iterator[None]:
    """
    Hold a lock between processes; it ends with the process, however that ends.

    Errors: ServerError when another process holds it for longer than wait_seconds.
    """
    with file.open("a") as stream:
        deadline = time.monotonic() + wait_seconds
        while not _taken(stream.fileno()):
            if time.monotonic() > deadline:
                raise ServerError(
                    "another panpan command is at work on the same files",
                    cause=f"{file} has been locked for {wait_seconds:.0f} seconds",
                    next="wait for the other command to end, or stop it",
                )
            time.sleep(0.2)
        yield


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
