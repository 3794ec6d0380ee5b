"""
Commands about changes of what is defined: changes log, verify, record, impact.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.errors import CheckFailed
from panpan.governance import definitions, log
from panpan.governance.impact import impact as impact_of
from panpan.settings import load_settings

commands = typer.Typer(
    name="changes", help="What was changed in definitions, by whom, why, and what it touches.", no_args_is_help=True
)
By = Annotated[str | None, typer.Option("--by", help="Who did it.  [default: the account that runs this]")]
Why = Annotated[str | None, typer.Option("--why", help="Why.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module as `changes`."""
    app.add_typer(commands, name="changes")


@commands.command("log")
def log_(
    subject: Annotated[str | None, typer.Argument(help="Only of this file or metric.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="At most so many, the newest; 0 is all.", min=0)] = 50,
    diff: Annotated[bool, typer.Option("--diff", help="With the lines that changed.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    List changes of definitions, approvals and reviews, the newest last.

    Example: panpan changes log transforms/metrics/revenue.yaml --diff
    """
    found = [each for each in log.entries(load_settings(home=home)) if subject in (None, each.subject)]
    shown = found[-limit:] if limit else found
    if as_json:
        output.print_json({"entries": [asdict(each) for each in shown], "count": len(found)})
        return
    columns = ["#", "at", "by", "kind", "subject", "", "why"]
    rows = [
        [e.change_id, f"{e.changed_at:%Y-%m-%d %H:%M}", e.changed_by, e.kind, e.subject, _what(e), e.reason]
        for e in shown
    ]
    output.print_table(f"changes ({len(shown)} of {len(found)})", columns, rows)
    for entry in shown if diff else []:
        output.results.print(f"#{entry.change_id} {entry.subject}", highlight=False, markup=False)
        output.results.print(definitions.difference(entry), highlight=False, markup=False)


def _what(entry: log.Entry) -> str:
    if entry.before is None:
        return "new"
    return "gone" if entry.after is None else "changed"


@commands.command("verify")
def verify(
    accept: Annotated[
        str | None,
        typer.Option("--accept", help="Take the end of the log as it is now, and say why (after a restore)."),
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Check that no entry of the log was altered, moved or taken out, up to the head kept in the home.

    Exit 3 at the first broken entry.  Example: panpan changes verify
    """
    settings = load_settings(home=home)
    if accept:
        log.append(settings, [log.Change("head", log.HEAD_FILE, None, None)], log.person(), accept)
    faults = log.verify(settings)
    count, head = len(log.entries(settings)), log.read_head(settings)
    if as_json:
        facts = {"entries": count, "head": head[1] if head else None, "faults": [asdict(each) for each in faults]}
        output.print_json(facts, ok=not faults)
    else:
        output.results.print(f"{count} entries, head {head[1][:16] if head else 'unknown'}", highlight=False)
    if faults:
        raise CheckFailed(
            f"the change log is broken at entry {faults[0].change_id}",
            cause="; ".join(each.says for each in faults),
            next="compare it with the change log of the last good backup: panpan backups list",
        )


@commands.command("record")
def record(by: By = None, why: Why = None, home: Home = None, as_json: AsJson = False) -> None:
    """
    Note every definition that changed since it was last noted; up and transform run do the same.

    Example: panpan changes record --by Ana --why "Discounts of the loyalty card count now"
    """
    added = definitions.record(load_settings(home=home), by, why)
    if as_json:
        output.print_json({"noted": [{"kind": e.kind, "subject": e.subject, "change_id": e.change_id} for e in added]})
    else:
        output.results.print(f"{len(added)} changes noted", highlight=False)


@commands.command("impact")
def impact(
    source: Annotated[str, typer.Argument(help="Name of the source.")],
    becomes: Annotated[
        Path | None, typer.Option("--with", help="The contract it is to become.", exists=True, dir_okay=False)
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    List what a change of a source's contract touches, before it is made.

    Example: panpan changes impact pos --with pos_new.toml
    """
    found = impact_of(load_settings(home=home), source, becomes)
    if as_json:
        output.print_json(asdict(found))
        return
    facts = asdict(found)
    rows = [[name, len(names), ", ".join(names)] for name, names in facts.items() if name != "source"]
    output.print_table(f"what {found.source} feeds", ["", "", "names"], rows)
