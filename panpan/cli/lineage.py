"""
Commands about where figures come from: trace, raw audit.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.errors import CheckFailed
from panpan.settings import load_settings
from transforms.audit import audit as audit_all
from transforms.periods import business_today
from transforms.trace import Page, Trace
from transforms.trace import trace as trace_back

SHOWN = 20
MOST_RECORDS = 100_000  # of one answer; totals by file are always whole
raw_commands = typer.Typer(name="raw", help="The received records.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add `trace` and the commands of `raw`."""
    app.command("trace")(trace)
    app.add_typer(raw_commands, name="raw")


def trace(
    what: Annotated[
        str,
        typer.Argument(
            help="metric:NAME/PERIOD[/store=S], plan:ID, sale:ID, sale:SOURCE/RECEIPT, customer:ID, product:ID, "
            "stock:PRODUCT/STORE"
        ),
    ],
    limit: Annotated[int, typer.Option("--limit", help="At most so many records; 0 is all.", min=0)] = MOST_RECORDS,
    first: Annotated[int, typer.Option("--offset", help="Leave out so many records at the start.", min=0)] = 0,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Follow a figure back to the files, lines and responses it was received in, and work it out again from them.

    Exit 3 when the receipts do not give the figure.  Example: panpan trace metric:revenue/2026-05-31/store=centro
    """
    settings = load_settings(home=home)
    found = trace_back(settings, what, business_today(settings), Page(first, limit or None))
    if as_json:
        output.print_json(_as_facts(found), ok=found.is_equal)
    else:
        _print_trace(what, found)
    if not found.is_equal:
        raise CheckFailed(
            f"the receipts of {what} give {found.resummed}, not {found.value}",
            next="bin/panpan transform rebuild --compare",
        )


def _as_facts(found: Trace) -> dict[str, Any]:
    return {
        "value": found.value,
        "resummed": found.resummed,
        "equal": found.is_equal,
        "currency_code": found.currency,
        "plan_id": found.plan_id,
        "receipts": found.receipts,
        "record_count": found.record_count,
        "parts": found.parts,
        "files": [asdict(document) for document in found.documents],
        "records": found.records,
    }


def _print_trace(what: str, found: Trace) -> None:
    columns = ["load_id", "source", "file", "records", "workflow", "execution_id"]
    rows = [[getattr(document, name) for name in columns] for document in found.documents[:SHOWN]]
    output.print_table(f"{what}: {found.value}", columns, rows)
    columns = ["raw_id", "load_id", "source", "file", "line", "execution_id"]
    rows = [[record[name] for name in columns] for record in found.records[:SHOWN]]
    output.print_table("records", columns, rows)
    for name, part in found.parts.items():
        output.results.print(f"{name.replace('_', ' ')}: {part}", highlight=False)
    more = found.record_count - len(rows)
    output.results.print(
        f"{found.receipts} rows cited, {len(found.documents)} files or responses, {found.record_count} records"
        f"{f', {more} not shown' if more else ''}; worked out again: {found.resummed}, "
        f"{'equal' if found.is_equal else 'NOT EQUAL'}",
        highlight=False,
    )


@raw_commands.command("audit")
def audit(home: Home = None, as_json: AsJson = False) -> None:
    """
    Check that each raw record became a row or a reject, and each core row has its raw record.

    Exit 3 when one does not.  Example: panpan raw audit
    """
    found = audit_all(load_settings(home=home))
    if as_json:
        whole = all(each.is_whole for each in found)
        output.print_json({"entities": [asdict(each) for each in found], "whole": whole}, ok=whole)
    elif found:
        columns = list(asdict(found[0]))
        output.print_table("lineage", columns, [list(asdict(each).values()) for each in found])
    broken = [f"{each.source} {each.entity}" for each in found if not each.is_whole]
    if broken:
        raise CheckFailed("some records lead nowhere", cause=", ".join(broken), next="bin/panpan rejects list")
