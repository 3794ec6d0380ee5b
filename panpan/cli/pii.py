"""
Commands about personal data: pii list.
"""

from __future__ import annotations

from typing import Annotated

import typer

from db.connection import connect
from db.pii import classified
from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.errors import CheckFailed
from panpan.settings import load_settings

commands = typer.Typer(name="pii", help="Personal data: where it is, and how it goes.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module as `pii`."""
    app.add_typer(commands, name="pii")


@commands.callback()
def pii() -> None:
    """Personal data: where it is, and how it goes."""


@commands.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="Also the columns that tell nothing of a person.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Say of each column whether it tells of a person; one that nobody classified ends with exit code 3.

    Example: panpan pii list --json
    """
    with connect(load_settings(home=home), "owner") as connection, connection.cursor() as cursor:
        rows = classified(cursor)
    unclassified = [f"{row['schema']}.{row['table']}.{row['column']}" for row in rows if row["class"] is None]
    shown = [row for row in rows if every or row["class"] not in ("none", None)]
    if as_json:
        found = {"columns": len(rows), "unclassified": unclassified, "rows": shown}
        output.print_json(found, ok=not unclassified)
    else:
        output.print_table("columns that tell of persons", list(shown[0]), [list(row.values()) for row in shown])
        output.results.print(f"{len(rows)} columns, {len(unclassified)} unclassified", highlight=False)
        for name in unclassified:
            output.results.print(f"unclassified: {name}; say in db/pii.yaml what it tells", highlight=False)
    if unclassified:
        raise typer.Exit(CheckFailed.exit_code)
