"""Options that many commands share, so that they look and mean the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[
    Path | None,
    typer.Option("--home", help="Folder of everything that is not code.  [default: $PANPAN_HOME, else ./var]"),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
