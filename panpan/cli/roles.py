"""
Commands about the roles of the warehouse: roles test.
"""

from __future__ import annotations

from dataclasses import asdict

import typer

from db.matrix import ROLES, Cell, try_roles, unexpected
from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.errors import CheckFailed
from panpan.settings import load_settings

commands = typer.Typer(
    name="roles", help="Who may do what in the warehouse, and the proof of it.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module as `roles`."""
    app.add_typer(commands, name="roles")


@commands.callback()
def roles() -> None:
    """Who may do what in the warehouse, and the proof of it."""


@commands.command("test")
def test(home: Home = None, as_json: AsJson = False) -> None:
    """
    Connect as each role and try everything: read, write, change the schema, leave the database. Nothing stays.

    Compared with db/access.yaml; a right too many or one that is missing ends with exit code 3.
    Example: panpan roles test --json
    """
    settings = load_settings(home=home)
    with output.step("trying every role"):
        cells = try_roles(settings)
    wrong = unexpected(cells)
    if as_json:
        found = [{**asdict(cell), "sentence": cell.sentence()} for cell in wrong]
        output.print_json({"cells": len(cells), "unexpected": found}, ok=not wrong)
    else:
        rows = [(role, *_counts([cell for cell in cells if cell.role == role])) for role in ROLES]
        output.print_table("roles", ["role", "tried", "allowed", "refused", "unexpected"], rows)
        for cell in wrong:
            output.results.print(f"unexpected: {cell.sentence()}", highlight=False)
    if wrong:
        raise typer.Exit(CheckFailed.exit_code)


def _counts(cells: list[Cell]) -> tuple[int, int, int, int]:
    allowed = sum(cell.allowed is True for cell in cells)
    return len(cells), allowed, sum(cell.allowed is False for cell in cells), len(unexpected(cells))
