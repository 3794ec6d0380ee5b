"""
The note of a rotation under way: `run/rotation.json`, mode 0600, from before its first change until after its last.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from panpan.settings import Settings


@dataclass(frozen=True)
class Note:
    """Setting, its value before and after."""

    name: str
    old: str = field(repr=False)
    new: str = field(repr=False)


def note_file(home: Path) -> Path:
    """Where the note of a home lies."""
    return home / "run" / "rotation.json"


def read_note(home: Path) -> Note | None:
    """The rotation under way; None when there is none."""
    with suppress(FileNotFoundError):
        return Note(**json.loads(note_file(home).read_text(encoding="utf-8")))
    return None


def before(settings: Settings) -> Settings | None:
    """The settings with the value from before the rotation under way; None when there is none."""
    note = read_note(settings.home)
    return settings.model_copy(update={note.name: SecretStr(note.old)}) if note else None
