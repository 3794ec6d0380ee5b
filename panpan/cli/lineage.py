"""
Commands about where figures come from: trace, raw audit.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.errors import CheckFailed
from panpan.settings import load_settings
from transforms.audit import audit as audit_all
from transforms.periods import business_today
from transforms.trace import trace as trace_back

SHOWN = 20
raw_commands = typer.Typer(name="raw", help="The received records.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add `trace` and the commands of `raw`."""
    app.command("trace")(trace)
    app.add_typer(raw_commands, name="raw")


def trace(
    what: Annotated[str, typer.Argument(help="sale:ID, sale:SOURCE/RECEIPT, metric:NAME/DAY[/store=S], plan:ID")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Follow a figure or a sale back to the files, lines and responses it was received in.

    Exit 3 when the receipts do not add up to the figure.  Example: panpan trace metric:revenue/2026-05-31/store=centro
    """
    settings = load_settings(home=home)
    found = trace_back(settings, what, business_today(settings))
    if as_json:
        output.print_json({**asdict(found), "equal": found.is_equal})
    else:
        columns = ["raw_id", "load_id", "source", "file", "line", "execution_id"]
        rows = [[record[name] for name in columns] for record in found.records[:SHOWN]]
        output.print_table(f"{what}: {found.value}", columns, rows)
        more = len(found.records) - len(rows)
        output.results.print(
            f"{found.receipts} receipts, {len(found.records)} records{f', {more} not shown' if more else ''}; "
            f"summed again: {found.resummed}, {'equal' if found.is_equal else 'NOT EQUAL'}",
            highlight=False,
        )
    if not found.is_equal:
        raise CheckFailed(f"the receipts of {what} add up to {found.resummed}, not {found.value}")


@raw_commands.command("audit")
def audit(home: Home = None, as_json: AsJson = False) -> None:
    """
    Check that each raw record became a row or a reject, and each core row has its raw record.

    Exit 3 when one does not.  Example: panpan raw audit
    """
    found = audit_all(load_settings(home=home))
    if as_json:
        output.print_json({"entities": [asdict(each) for each in found], "whole": all(e.is_whole for e in found)})
    elif found:
        columns = list(asdict(found[0]))
        output.print_table("lineage", columns, [list(asdict(each).values()) for each in found])
    broken = [f"{each.source} {each.entity}" for each in found if not each.is_whole]
    if broken:
        raise CheckFailed("some records lead nowhere", cause=", ".join(broken), next="bin/panpan rejects list")
