"""
`panpan demo`: everything on simulated sources, then where to look.
"""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer

from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.cli.servers import timed_steps
from panpan.demo import run_demo
from panpan.ingest.run import LoadReport
from panpan.local.initialise import initialise
from panpan.settings import home_folder


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("demo")(demo)


def demo(
    home: Home = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the dashboards in a browser.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    Run the whole flow on simulated source systems: a bakery with three stores and a delivery service.

    The servers stay up until `panpan down`.  Example: panpan demo --no-open --json
    """
    settings = initialise(home_folder(home), simulated=True)
    with timed_steps({}) as step:
        report = run_demo(settings, step)
    if as_json:
        output.print_json(
            {
                "urls": report.urls,
                "n8n": {
                    "version": report.n8n_version,
                    "execution_ids": sorted({load.execution_id for load in report.loads if load.execution_id}, key=int),
                },
                **report.tables,
                "metrics": report.metrics,
                "mails": report.mails,
                "loads": {status: _count(report.loads, status) for status in ("loaded", "duplicate")},
                "seconds": report.seconds,
            }
        )
    else:
        tables = [(table, rows) for layer in report.tables.values() for table, rows in layer.items() if rows]
        output.print_table("rows", ["table", "rows"], tables)
        output.print_table(
            "metrics", ["metric", "value"], [(name, _said(value)) for name, value in report.metrics.items()]
        )
        for name, url in report.urls.items():
            output.results.print(f"{name}: {url}", highlight=False)
        output.results.print("the mails as files: bin/panpan alerts mails --to FOLDER", highlight=False)
        output.results.print("stop it all: bin/panpan down", highlight=False)
    if not no_open and output.results.is_terminal:
        webbrowser.open(report.urls["dashboards"])


def _said(value: object) -> object:
    """A metric's value, or its values by source, as people read them."""
    return ", ".join(f"{source} {each}" for source, each in value.items()) if isinstance(value, dict) else value


def _count(loads: list[LoadReport], status: str) -> int:
    return sum(load.status == status for load in loads)
