"""
Commands about newer versions: upgrade check.
"""

from __future__ import annotations

from dataclasses import asdict

import typer

from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.doctor.floors import stated_on
from panpan.doctor.upgrades import Standing, standings
from panpan.settings import load_settings

BELOW = 3
COLUMNS = ("program", "current", "pinned", "container", "floor", "tested", "judgement")

commands = typer.Typer(name="upgrade", help="Newer versions of what panpan runs on.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module as `upgrade`."""
    app.add_typer(commands, name="upgrade")


@commands.callback()
def group() -> None:
    """Keeps `check` a command of its own while it is the only one."""


@commands.command("check")
def check(home: Home = None, as_json: AsJson = False) -> None:
    """
    Say of each program which version runs, is pinned, is the lowest allowed and was tested.

    Asks nothing of the network; ends with 3 when one is below its floor.  Example: panpan upgrade check
    """
    found = standings(load_settings(home=home))
    below = any(each.is_below for each in found)
    if as_json:
        output.print_json({"stated_on": stated_on(), "programs": [asdict(each) for each in found]}, ok=not below)
    else:
        rows = [[*(getattr(each, name) for name in COLUMNS[:-1]), judgement(each)] for each in found]
        output.print_table(f"versions, against what was known on {stated_on()}", COLUMNS, rows)
    if below:
        raise typer.Exit(BELOW)


def judgement(standing: Standing) -> str:
    """In words."""
    if not standing.current:
        return "not seen"
    if standing.is_below:
        return f"below the floor: {', '.join(standing.holes)}" if standing.holes else "below the floor"
    return "well"
