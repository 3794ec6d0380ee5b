"""
Commands about personal data: pii list, erase, retention.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

import typer

from db.connection import connect
from db.pii import CLASSES, classified, load_catalogue
from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.errors import CheckFailed
from panpan.settings import load_settings
from transforms.erasure import counts_in_words
from transforms.erasure import erase as erase_customer
from transforms.retention import anonymise_due, find_due

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


@commands.command("erase")
def erase(
    customer: Annotated[str, typer.Argument(help="customer:ID, or the record SOURCE:ID.")],
    why: Annotated[str, typer.Option("--why", help="Reason, without naming the customer.")],
    who: Annotated[str, typer.Option("--who", help="Who erases.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Erase a customer: names, mails, phones and free texts go from everything kept; sales and figures stay.

    Then looks through every table and file; a value still found ends with exit code 3.
    Example: panpan pii erase crm:501 --why "asked on 2026-05-02" --who Ada --dry-run
    """
    settings = load_settings(home=home)
    with output.step("looking through everything received"):
        done = erase_customer(settings, customer.removeprefix("customer:"), by=who, reason=why, dry_run=dry_run)
    facts = {
        "customer": done.customers[0],
        "records": done.records,
        "erased": not dry_run,
        "erasure": next(iter(done.receipts), None),
        "counts": dict(done.counts),
        "places_left": done.places,
        "backups_until": done.backups_until,
    }
    if as_json:
        output.print_json(facts, ok=not done.places)
    else:
        output.results.print(f"records of the customer: {', '.join(done.records)}", highlight=False)
        for line in counts_in_words(done.counts):
            output.results.print(line, highlight=False)
        for place in done.places:
            output.results.print(f"still there: {place}", highlight=False)
        if not dry_run:
            output.results.print(
                f"erasure {facts['erasure']}: {len(done.places)} places left; older backups hold the customer until"
                f" {done.backups_until}, unless you remove them",
                highlight=False,
            )
    if done.places:
        raise typer.Exit(CheckFailed.exit_code)


@commands.command("retention")
def retention(
    apply: Annotated[bool, typer.Option("--apply", help="Anonymise those whose time is over.")] = False,
    who: Annotated[str | None, typer.Option("--who", help="Who applies it; needed with --apply.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Say how long each class of personal data is kept, and whose time is over; with --apply they are anonymised.

    The worker does it each day when PANPAN_PII_RETENTION is true. A value still found ends with exit code 3.
    Example: panpan pii retention --apply --who Ada
    """
    if apply and not who:
        raise typer.BadParameter("say who applies it", param_hint="--who")
    settings = load_settings(home=home)
    now = datetime.now(UTC)
    due = find_due(settings, now)
    done = []
    if apply and due.persons:
        with output.step(f"anonymising {len(due.persons)} customers"):
            done = anonymise_due(settings, now, by=who or "")
    periods = load_catalogue().retention.model_dump()
    counts = sum((each.counts for each in done), Counter[str]())
    places = sorted({place for each in done for place in each.places})
    if as_json:
        facts = {
            "days": periods,
            "cutoff": due.cutoff,
            "due": [ids[0] for ids in due.persons],
            "erasures": [number for each in done for number in each.receipts],
            "counts": dict(counts),
            "places_left": places,
            "worker": settings.pii_retention,
        }
        output.print_json(facts, ok=not places)
    else:
        kept = {name: f"{days} days" if days else "without end" for name, days in periods.items()}
        output.print_table("kept", ["class", "kept"], [[name, kept[name]] for name in CLASSES])
        output.results.print(f"past their time: {len(due.persons)} customers", highlight=False)
        for line in [*counts_in_words(counts), *(f"still there: {place}" for place in places)]:
            output.results.print(line, highlight=False)
    if places:
        raise typer.Exit(CheckFailed.exit_code)
