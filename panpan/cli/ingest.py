"""
Commands about loading: ingest drop, run, status, backfill, late.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from db.connection import connect
from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.errors import IngestError, UsageError
from panpan.ingest import inbox, run
from panpan.ingest.sources import find_source, sync_source_settings
from panpan.settings import Settings, load_settings
from transforms import lateness, periods
from transforms.contract import load_contracts

NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Stop when the loads are received; the worker goes on by itself.")
]

commands = typer.Typer(
    name="ingest",
    help="Load sources: drop a file, run a source now, fetch a window again, see how sources stand and what came late.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module as `ingest`."""
    app.add_typer(commands, name="ingest")


def settings_with_sources(home: Path | None) -> Settings:
    """The settings, the database knowing every contract there is by now: one may have been written a moment ago."""
    settings = load_settings(home=home)
    with connect(settings, "transformer") as connection:
        sync_source_settings(connection, load_contracts(settings.own_contracts).values(), settings)
    return settings


@commands.command("drop")
def drop(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files as they were downloaded.")],
    source: Annotated[str, typer.Option("--source", help="Source the files come from.")],
    home: Home = None,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """
    Hand files over for loading and wait until they are loaded.

    The same content twice is one load.  Example: panpan ingest drop items-2026-05.csv --source square_items
    """
    settings = settings_with_sources(home)
    with connect(settings, "transformer") as connection:
        if find_source(connection, source).kind != "files":
            raise UsageError(
                f"{source} takes no files",
                cause="it is pulled from its API",
                next=f"bin/panpan ingest run {source}",
            )
    for file in files:
        if not file.is_file():
            raise IngestError(
                f"can't read {file}",
                cause="it is a folder" if file.is_dir() else "there is no such file",
                next="check the path; nothing was handed over",
            )
    dropped = [inbox.drop(settings, file, source) for file in files]
    with output.step(f"loading {len(dropped)} file{'s' if len(dropped) > 1 else ''} of {source}"):
        reports = run.run_source(settings, source, files=dropped, wait=not no_wait)
    finish(source, reports, as_json)


@commands.command("run")
def run_now(
    source: Annotated[str, typer.Argument(help="Source to load.")],
    home: Home = None,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """
    Load a source now: pull its API, or take the files that wait in its inbox.

    Example: panpan ingest run crm
    """
    settings = settings_with_sources(home)
    with output.step(f"loading {source}"):
        reports = run.run_source(settings, source, wait=not no_wait)
    finish(source, reports, as_json)


@commands.command("backfill")
def backfill(
    source: Annotated[str, typer.Argument(help="Source with an API.")],
    window_from: Annotated[str, typer.Argument(metavar="FROM", help="First day or moment, ISO 8601.")],
    window_to: Annotated[str, typer.Argument(metavar="TO", help="End, not included; days are UTC.")],
    home: Home = None,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """
    Pull once more what changed at a source in a window of time.

    Records that came before change nothing.  Example: panpan ingest backfill pos_api 2026-05-01 2026-06-01
    """
    settings = settings_with_sources(home)
    window = moment(window_from, "FROM"), moment(window_to, "TO")
    with output.step(f"loading {source} from {window_from} to {window_to}"):
        reports = run.backfill(settings, source, *window, wait=not no_wait)
    finish(source, reports, as_json)


@commands.command("status")
def status(home: Home = None, as_json: AsJson = False) -> None:
    """
    Say for each source what came last, how old it is, and what waits.

    Judged from what arrived, so a stopped n8n shows.  Example: panpan ingest status
    """
    settings = settings_with_sources(home)
    refused = scan_inbox(settings)
    states = run.source_status(settings)
    if as_json:
        output.print_json({"sources": [asdict(state) for state in states], "refused": refused})
        return
    output.print_table(
        "sources",
        ("source", "last load", "status", "age", "last record", "record age", "waiting files", "failed"),
        [
            (
                state.source,
                state.last_load_id,
                state.last_status or "never loaded",
                words_for(state.age_seconds),
                state.last_record_at and f"{state.last_record_at.astimezone(UTC):%Y-%m-%d %H:%M}",
                words_for(state.record_age_seconds),
                state.waiting_files,
                state.failed_since_last_success,
            )
            for state in states
        ],
    )
    for entry in refused:
        output.talk.print(f"not taken: {entry['path']}: {entry['reason']}", markup=False, highlight=False)


@commands.command("late")
def late(
    period: Annotated[
        str, typer.Option("--period", help=f"Business days: {', '.join(periods.WORDS)}, {periods.SPELLED}.")
    ] = "last-week",
    source: Annotated[str | None, typer.Option("--source", help="Only receipts of this source.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Say for each source how much of some days' figures came late, and how much was changed afterwards.

    A receipt is late when it became known later than the end of its business day plus the warn_after_hours of its
    source; the delay is counted from there. Where that had passed before the source was first loaded, receipts are
    backfilled, not late. What was first known and what changes moved add up to what is known now.

    Example: panpan ingest late --period last-week --source pos
    """
    settings = load_settings(home=home)
    today = periods.business_today(settings)
    first, last = periods.days_of(period, today)
    found = lateness.lateness(settings, first, last, today, source)
    if as_json:
        output.print_json({"first_day": first, "last_day": last, "sources": [lateness_as_json(each) for each in found]})
        return
    output.print_table(
        f"receipts of {periods.spelled(first, last)}",
        (
            "source",
            "store",
            "receipts",
            "backfilled",
            "late",
            "% late",
            "median delay h",
            "longest delay h",
            "currency",
            "late amount",
            "first known",
            "moved",
            "now",
            "changed",
        ),
        [lateness_cells(each, group) for each in found for group in each.groups],
    )
    for each in found:
        output.results.print(each.sentence, markup=False, highlight=False)


def lateness_as_json(found: lateness.Source) -> dict[str, Any]:
    """A source for programs: what is worked out from its counts and amounts is said beside them."""
    return {
        **asdict(found),
        "sentence": found.sentence,
        "share_late": found.counts.share_late,
        "groups": [
            {
                **asdict(group),
                "share_late": group.counts.share_late,
                "moved": group.amounts.moved,
                "now": group.amounts.now,
            }
            for group in found.groups
        ],
    }


def lateness_cells(found: lateness.Source, group: lateness.Group) -> tuple[Any, ...]:
    """One row of the table: a source, or one of its stores, in one currency."""
    counts, amounts = group.counts, group.amounts
    share = counts.share_late
    return (
        found.source,
        group.store_id or "all",
        counts.receipts,
        counts.backfilled,
        counts.late,
        None if share is None else round(100 * share, 1),
        counts.median_delay_hours,
        counts.longest_delay_hours,
        group.currency_code,
        amounts.late,
        amounts.first_known,
        amounts.moved,
        amounts.now,
        ", ".join(f"{cause} {count} ({amounts.moved_by[cause]})" for cause, count in counts.changed.items()),
    )


def finish(source: str, reports: list[run.LoadReport], as_json: bool) -> None:
    """Print what became of the loads; exit code 1 when one brought nothing although it should have."""
    is_well = not any(report.is_bad for report in reports)
    if as_json:
        output.print_json({"source": source, "loads": [asdict(report) for report in reports]}, ok=is_well)
    else:
        for report in reports:
            output.results.print(sentence(report), markup=False, highlight=False)
        if not reports:
            output.results.print(f"nothing waits for {source}", markup=False, highlight=False)
    if not is_well:
        raise typer.Exit(1)


def sentence(report: run.LoadReport) -> str:
    """What became of one load, in words."""
    what = report.file or report.entity or report.source
    if report.status == "loaded":
        return f"load {report.load_id}: {what}: loaded {report.rows or 0} rows"
    if report.status == "duplicate":
        return f"load {report.load_id}: {what}: already loaded, 0 rows ({report.reason})"
    return f"load {report.load_id}: {what}: {report.status}" + (f": {report.reason}" if report.reason else "")


def scan_inbox(settings: Settings) -> list[dict[str, Any]]:
    """What lies in the inbox and can't be taken, with the reason."""
    with connect(settings, "transformer") as connection:
        found = inbox.scan(connection, settings)
    return [{"path": str(path), "reason": reason} for path, reason in found.refused]


def moment(text: str, name: str) -> datetime:
    """A day or moment of the command line; without a zone it is UTC. Errors: UsageError."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{name} is {text!r}, expected a day or moment such as 2026-05-01",
            next="panpan ingest backfill --help",
        ) from None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def words_for(seconds: float | None) -> str | None:
    """An age in the unit people would use."""
    if seconds is None:
        return None
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
