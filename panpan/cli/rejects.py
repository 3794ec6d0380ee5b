"""
Commands about rejected records: rejects list, show, replay.
"""

from __future__ import annotations

from typing import Annotated

import typer

from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.settings import load_settings
from transforms import rejects
from transforms.contract import find_contract
from transforms.run import run

commands = typer.Typer(
    name="rejects",
    help="Records that were kept out of the model: why, which, and another try after a rule was mended.",
    no_args_is_help=True,
)
Source = Annotated[str | None, typer.Option("--source", help="Only this source.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module as `rejects`."""
    app.add_typer(commands, name="rejects")


@commands.command("list")
def list_(source: Source = None, home: Home = None, as_json: AsJson = False) -> None:
    """
    Count open rejects by source and reason, and name refused files.

    Example: panpan rejects list --source dirty_cafe
    """
    settings = load_settings(home=home)
    groups, files = rejects.open_rejects(settings, source), rejects.refused_loads(settings, source)
    if as_json:
        output.print_json({"rows": groups, "refused": files})
        return
    output.print_table(
        "open rejects",
        ["source", "reason", "count"],
        [[g["source"], g["reason"], g["count"]] for g in groups],
    )
    if files:
        output.print_table("refused whole", ["load", "source", "file", "reason"], [list(f.values()) for f in files])


@commands.command("show")
def show(
    source: Annotated[str, typer.Argument(help="Source of the records.")],
    limit: Annotated[int, typer.Option("--limit", help="At most so many.", min=1, max=10_000)] = 20,
    clear: Annotated[bool, typer.Option("--clear", help="Show names, mails and phones unmasked.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Show rejected records with their file, line, value and reason; what names a person is masked.

    Example: panpan rejects show dirty_cafe --limit 5
    """
    rows = rejects.rejected_records(load_settings(home=home), source, limit, clear=clear)
    if as_json:
        output.print_json({"rows": rows})
        return
    columns = ["raw_id", "file", "record", "reason", "column", "value"]
    output.print_table(f"rejects of {source}", columns, [[row[name] for name in columns] for row in rows])


@commands.command("replay")
def replay(
    source: Annotated[str, typer.Argument(help="Source whose contract was mended.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Read again, by the contract as it is now, every load of the source that had rejects or was refused.

    Records that read well now move into the model.  Example: panpan rejects replay dirty_cafe
    """
    settings = load_settings(home=home)
    find_contract(source, settings.own_contracts)
    before = rejects.count_open(settings, source)
    with output.step(f"reading the rejects of {source} again"):
        loads = rejects.receive_again(settings, source)
        report = run(settings)
    after = rejects.count_open(settings, source)
    if as_json:
        output.print_json({"loads": loads, "rows": report.rows, "rejects_before": before, "rejects_after": after})
    else:
        output.results.print(f"{loads} loads read again: {before} rejects before, {after} after", highlight=False)
