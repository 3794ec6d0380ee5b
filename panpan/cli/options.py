"""Options that many commands share, so that they look and mean the same everywhere."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from panpan.errors import UsageError

Home = Annotated[
    Path | None,
    typer.Option("--home", help="Folder of everything that is not code.  [default: $PANPAN_HOME, else ./var]"),
]
WithoutBackup = Annotated[
    bool, typer.Option("--without-backup", help="Migrate without a backup set made before, and so without a way back.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def parse_moment(text: str) -> datetime:
    """A moment given in ISO 8601; without a zone it is UTC. Errors: UsageError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no moment", cause="expected the form 2026-05-31T12:00 or 2026-05-31") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
