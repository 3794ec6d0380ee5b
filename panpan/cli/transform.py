"""
Commands about transforms: transform run.
"""

from __future__ import annotations

import typer

from db.connection import connect
from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.governance import definitions
from panpan.ingest import inbox
from panpan.settings import load_settings
from transforms.goals import refresh_goals
from transforms.periods import business_today
from transforms.run import run as run_transforms

commands = typer.Typer(
    name="transform", help="raw -> formatted -> core -> marts, as the worker does it.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module as `transform`."""
    app.add_typer(commands, name="transform")


@commands.command("run")
def run(home: Home = None, as_json: AsJson = False) -> None:
    """
    Take every received load into the model now; the worker does the same by itself.

    A second run changes nothing.  Example: panpan transform run --json
    """
    settings = load_settings(home=home)
    definitions.record(settings)
    with connect(settings, "transformer") as connection:
        inbox.archive_taken(connection, settings)
    with output.step("transforming received loads"):
        report = run_transforms(settings)
        refresh_goals(settings, business_today(settings))
    facts = {
        "loads": report.loads,
        "refused": report.refused,
        "held": report.held,
        "rows": report.rows,
        "rejects": report.rejects,
        "seconds": report.seconds,
    }
    if as_json:
        output.print_json({**facts, "refusals": report.refusals})
        return
    output.print_table("transform run", list(facts), [list(facts.values())])
    for sentence in report.refusals:
        output.talk.print(f"refused: {sentence}", markup=False, highlight=False)
