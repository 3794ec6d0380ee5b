"""
Commands that write definitions in open formats: sources export, metrics export; and the catalogue as a list.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml

from panpan.catalogue import entries
from panpan.cli import metrics, output, sources
from panpan.cli.options import AsJson, Home
from panpan.errors import UsageError
from panpan.settings import load_settings
from transforms.contract import find_contract
from transforms.metricflow import to_metricflow
from transforms.metrics import load_metrics
from transforms.odcs import to_odcs
from transforms.semantics import to_osi

commands = typer.Typer(name="catalog", help="Where to find which figure.", no_args_is_help=True)


class Format(StrEnum):
    """Open formats metrics can be written in."""

    osi = "osi"
    metricflow = "metricflow"


def register(app: typer.Typer) -> None:
    """Add `sources export`, `metrics export` and `catalog list`."""
    sources.commands.command("export")(export_source)
    metrics.commands.command("export")(export_metrics)
    app.add_typer(commands, name="catalog")


def export_source(
    name: Annotated[str, typer.Argument(help="Name of the source.")],
    odcs: Annotated[bool, typer.Option("--odcs", help="As Open Data Contract Standard 3.1.0.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Write a source's contract in an open format, as YAML on stdout.

    Example: panpan sources export pos --odcs > pos.odcs.yaml
    """
    if not odcs:
        raise UsageError("there is one format to export to", next=f"panpan sources export {name} --odcs")
    _write(to_odcs(find_contract(name, load_settings(home=home).own_contracts)), as_json)


def export_metrics(
    form: Annotated[
        Format, typer.Option("--format", help="osi: Open Semantic Interchange; metricflow: dbt's semantic layer.")
    ] = Format.osi,
    as_json: AsJson = False,
) -> None:
    """
    Write the metric catalogue in an open format, as YAML on stdout.

    Example: panpan metrics export --format osi > metrics.osi.yaml
    """
    known = load_metrics().values()
    _write(to_metricflow(known) if form is Format.metricflow else to_osi(known), as_json)


def _write(facts: dict[str, Any] | list[dict[str, Any]], as_json: bool) -> None:
    """One document, or several."""
    if as_json:
        output.print_json({"documents": facts} if isinstance(facts, list) else {"document": facts})
        return
    documents = facts if isinstance(facts, list) else [facts]
    text = yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True, width=120)
    output.results.print(text, end="", markup=False, highlight=False)


@commands.command("list")
def list_(
    reference_only: Annotated[
        bool, typer.Option("--reference-only", help="Only copies that are not the source of record.")
    ] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    List each figure with who answers for it and its source of record, or the copies that are for reference only.

    Example: panpan catalog list --reference-only
    """
    found = entries(load_settings(home=home))
    if reference_only:
        rows = [
            {"copy": copy, "metric": each.name, "source_of_record": each.system_of_record}
            for each in found
            for copy in each.reference_only
        ]
    else:
        rows = [
            {
                "metric": each.name,
                "question": each.question,
                "owner": each.owner,
                "source_of_record": each.system_of_record,
                "state": each.state,
            }
            for each in found
        ]
    if as_json:
        output.print_json({"rows": rows})
        return
    columns = list(rows[0]) if rows else ["nothing"]
    output.print_table("catalogue", columns, [[row[name] for name in columns] for row in rows])
