"""
How commands speak: results to stdout, talk to stderr, errors as error / cause / next.

Rich leaves colours out by itself when the stream is no terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table

from panpan.errors import PanpanError

# A pipe has no width; Rich would take 80 and cut the cells of tables.
PIPE_WIDTH = 240

results = Console(soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_WIDTH)
talk = Console(stderr=True, soft_wrap=True)


_objects_printed: list[bool] = []  # whether each was well; a command prints one at most


def print_json(value: Mapping[str, Any], *, ok: bool = True) -> None:
    """One object on stdout; amounts (Decimal) as strings, moments in ISO 8601."""
    _objects_printed.append(ok)
    results.print(json.dumps({"ok": ok, **value}, default=_plain, ensure_ascii=False), markup=False, highlight=False)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table for people; every cell as text, numbers to the right."""
    table = Table(title=title, title_justify="left")
    numeric = []
    for i in range(len(columns)):
        given = [row[i] for row in rows if row[i] is not None]
        numeric.append(bool(given) and all(isinstance(cell, int | float | Decimal) for cell in given))
    for name, right in zip(columns, numeric, strict=True):
        table.add_column(name, justify="right" if right else "left")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    results.print(table)


def print_error(error: PanpanError, *, as_json: bool = False) -> None:
    """The three lines of an error; as JSON on stdout too where JSON was asked for and no answer has been given."""
    facts = {"error": error.message, "cause": error.explained_cause(), "next": error.next}
    if as_json and not _objects_printed:
        print_json(facts, ok=False)
    for label, text in facts.items():
        if text:
            talk.print(f"{label + ':':<7}{text}", markup=False, highlight=False)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Show that something is going on: a spinner on a terminal, one line elsewhere."""
    if talk.is_terminal:
        with talk.status(text):
            yield
    else:
        talk.print(f"{text} ...", markup=False, highlight=False)
        yield


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
