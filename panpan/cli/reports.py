"""
Commands about reports: reports send, show, list.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, get_args

import typer

from panpan.alerting import courier
from panpan.alerting.rules import LANGUAGES, Language
from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.errors import UsageError
from panpan.reports import keep
from panpan.reports.compose import NAMES, Name, compose
from panpan.settings import load_settings

commands = typer.Typer(name="reports", help="Yesterday and last week in figures, by mail.", no_args_is_help=True)
ReportName = Annotated[str, typer.Argument(metavar="NAME", help="daily or weekly.")]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", help="A moment, such as 2026-05-04T08:00:00Z; what was known then.  [default: now]"),
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module as `reports`."""
    app.add_typer(commands, name="reports")


@commands.command("send")
def send(name: ReportName, as_of: AsOf = None, home: Home = None, as_json: AsJson = False) -> None:
    """
    Make a report, keep it, and mail it to the owners.

    Example: panpan reports send weekly
    """
    settings, now = load_settings(home=home), datetime.now(UTC)
    with output.step(f"making the {name} report"):
        sent = keep.send(settings, _name(name), _moment(as_of) if as_of else now)
    with output.step("sending mails"):
        delivery = courier.deliver(settings, now)
    facts = [
        {
            "report_id": each.report_id,
            "language": each.report.language,
            "subject": each.report.subject,
            "sha256": each.report.sha256,
            "plan_ids": each.report.plan_ids,
            "mails": each.mails,
        }
        for each in sent
    ]
    if as_json:
        output.print_json({"reports": facts, "sent": delivery.sent, "waiting": delivery.waiting})
        return
    for fact in facts:
        output.results.print(f"{fact['subject']}: {fact['mails']} mails", markup=False, highlight=False)
    output.results.print(f"mails: {delivery.sent} sent, {delivery.waiting} waiting", highlight=False)
    if not facts:
        output.talk.print(f"nobody is an owner; see {settings.people_file}", markup=False, highlight=False)


@commands.command("show")
def show(
    name: ReportName,
    as_of: AsOf = None,
    language: Annotated[str, typer.Option("--language", help="en or es.")] = "en",
    to: Annotated[Path | None, typer.Option("--to", help="File for the page; without it the text is printed.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Make a report as it was known at a moment, the same bytes as one kept then. Keeps and sends nothing.

    Example: panpan reports show weekly --as-of 2026-05-04T08:00:00Z --to report.html
    """
    if language not in LANGUAGES:
        raise UsageError(f"{language!r} is no language here", cause=f"known: {', '.join(LANGUAGES)}")
    chosen: Language = next(each for each in get_args(Language) if each == language)
    moment = _moment(as_of) if as_of else datetime.now(UTC)
    report = compose(load_settings(home=home), _name(name), moment, chosen)
    if to:
        to.write_bytes(report.html)
    if as_json:
        output.print_json(
            {
                "name": report.name,
                "as_of": report.as_of,
                "subject": report.subject,
                "sha256": report.sha256,
                "plan_ids": report.plan_ids,
                "text": report.text,
            }
        )
    else:
        output.results.print(f"written: {to}" if to else report.text, markup=False, highlight=False)


@commands.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", help="How many, the newest.", min=1)] = 30,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    List the reports that were kept.

    Example: panpan reports list
    """
    found = keep.kept(load_settings(home=home), limit)
    if as_json:
        output.print_json({"reports": found})
        return
    rows = [
        (f"{r['as_of']:%Y-%m-%dT%H:%M:%S.%fZ}", r["name"], r["language"], r["subject"], r["sha256"][:12]) for r in found
    ]
    output.print_table("reports", ["as of", "report", "language", "subject", "sha256"], rows)


def _name(text: str) -> Name:
    for name in NAMES:
        if text == name:
            return name
    raise UsageError(f"there is no report {text!r}", cause=f"known: {', '.join(NAMES)}")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no moment", cause="expected such as 2026-05-04T08:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
