"""
Commands about transforms: transform run, graph.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from db.connection import connect
from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.errors import UsageError
from panpan.governance import definitions
from panpan.governance.graph import LAYERS, Graph, downstream, load_graph, upstream
from panpan.governance.picture import draw
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


@commands.command("graph")
def graph(
    name: Annotated[
        str | None, typer.Argument(help="Only what this stands on and what stands on it: marts.waste, source.pos.")
    ] = None,
    picture: Annotated[Path | None, typer.Option("--picture", help="Draw it into this file (SVG).")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Show what reads what, from the sources to dashboards and alerts; nothing is run. Fails where it goes in a circle.

    Example: panpan transform graph marts.daily_store_sales
    """
    shown = load_graph(load_settings(home=home))
    if name is not None:
        shown = _around(shown, name)
    if picture is not None:
        picture.write_text(draw(shown), encoding="utf-8")
        output.talk.print(f"written: {picture}", markup=False, highlight=False)
    nodes = sorted(shown.values(), key=lambda node: LAYERS.index(node.layer))
    if as_json:
        output.print_json({"nodes": [{"key": node.key, **asdict(node)} for node in nodes]})
        return
    rows = [[node.key, ", ".join(node.reads), node.made_by, ", ".join(node.owners)] for node in nodes]
    output.print_table(f"{len(rows)} nodes, no circle", ["what", "reads", "made by", "responsible"], rows)


def _around(whole: Graph, name: str) -> Graph:
    """A node, what it stands on and what stands on it. Errors: UsageError naming nodes of like names."""
    if name not in whole:
        word = name.rpartition(".")[2]
        like = [key for key in whole if word and word in key]
        raise UsageError(
            f"the graph has no {name!r}",
            cause=f"near it: {', '.join(like[:8])}" if like else f"layers: {', '.join(LAYERS)}",
            next="bin/panpan transform graph",
        )
    near = {name, *upstream(whole, name), *downstream(whole, [name])}
    return {key: node for key, node in whole.items() if key in near}
