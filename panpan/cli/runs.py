"""
Commands about what the worker did: runs list, show, diff.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.settings import load_settings
from transforms import run_log
from transforms.run_log import RunRecord, Status

commands = typer.Typer(
    name="runs",
    help="What each run took, how long it was at it, and what it changed in the model.",
    no_args_is_help=True,
)
SHORT = 60
Number = Annotated[int, typer.Argument(metavar="RUN", help="Number of the run.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module as `runs`."""
    app.add_typer(commands, name="runs")


@commands.command("list")
def list_(
    source: Annotated[str | None, typer.Option("--source", help="Only runs that took loads of this source.")] = None,
    status: Annotated[
        Status | None,
        typer.Option(
            "--status", help="Only those that are done, blocked (a check held the load back), failed, running."
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="At most so many.", min=1, max=10_000)] = 20,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    List runs, the newest first: what they took and how they went.

    Example: panpan runs list --source pos --limit 5
    """
    found = run_log.runs(load_settings(home=home), source, status, limit)
    if as_json:
        output.print_json({"runs": [asdict(run) for run in found]})
        return
    output.print_table(
        "runs",
        ["run", "step", "source", "at (UTC)", "seconds", "loads", "rows", "rejects", "status", "reason"],
        [
            (
                run.run_id,
                run.step,
                run.source,
                _moment(run.started_at),
                run.seconds,
                run.loads,
                run.rows,
                run.rejects,
                run.status,
                textwrap.shorten(run.reason or "", SHORT, placeholder=" ..."),
            )
            for run in found
        ],
    )


@commands.command("show")
def show(run: Number, home: Home = None, as_json: AsJson = False) -> None:
    """
    Show a run whole: its loads, its rejects by reason, and what it changed in the model.

    Counts and status of a load are those of the run that took it last.  Example: panpan runs show 1
    """
    record = run_log.find_run(load_settings(home=home), run)
    if as_json:
        output.print_json(_as_facts(record))
        return
    facts = {**asdict(record.run), "seconds per 1,000 rows": record.run.seconds_per_1000_rows}
    rows = [(what.replace("_at", " at (UTC)").replace("_", " "), _cell(value)) for what, value in facts.items()]
    output.print_table(f"run {run}", ["", ""], rows)
    _print_loads(record)
    _print_counts("rejects", "reason", record.rejects)
    if record.changes:
        output.print_table(
            "changes of core",
            ["table", "versions", "cause", "count"],
            [(each.table, each.action, each.cause, each.versions) for each in record.changes],
        )
    _print_counts("published figures that changed", "metric", record.figures)
    output.results.print(record.outcome, highlight=False, markup=False)


@commands.command("diff")
def diff(
    a: Annotated[int, typer.Argument(metavar="A", help="Number of a run.")],
    b: Annotated[int, typer.Argument(metavar="B", help="Number of another.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Compare two runs: what they took, how long it took, by which rules, and what it changed.

    Example: panpan runs diff 1 2
    """
    found = run_log.compare_runs(load_settings(home=home), a, b)
    if as_json:
        output.print_json(
            {
                "a": _as_facts(found.a),
                "b": _as_facts(found.b),
                "differences": [asdict(each) for each in found.differences],
                "same": found.same,
            }
        )
        return
    if found.differences:
        rows = [(each.what, _cell(each.a), _cell(each.b)) for each in found.differences]
        output.print_table("what differs", ["", f"run {a}", f"run {b}"], rows)
    same = ", ".join(f"{what} {value}" for what, value in found.same.items() if value is not None)
    for sentence in (f"the same in both: {same}", found.a.outcome, found.b.outcome):
        output.results.print(sentence, highlight=False, markup=False)


def _as_facts(record: RunRecord) -> dict[str, Any]:
    """The record for programs: what people read out of its tables is said beside them."""
    return {
        **asdict(record),
        "seconds_per_1000_rows": record.run.seconds_per_1000_rows,
        "changed_nothing": record.changed_nothing,
        "outcome": record.outcome,
    }


def _print_loads(record: RunRecord) -> None:
    """One row per load; columns that say nothing of any load are left out."""
    rows = [
        {
            "load": load["load_id"],
            "entity": load["entity"],
            "file": load["file"],
            "window (UTC)": _window(load),
            "documents": load["documents"],
            "records": load["records"],
            "rows": load["rows"],
            "rejects": load["rejects"],
            "status": load["status"],
            "arriving s": load["seconds_arriving"],
            "waiting s": load["seconds_waiting"],
            "workflow": load["workflow"],
            "execution": load["execution_id"],
            "taken before by": load["taken_before_by"],
            "taken again by": load["taken_again_by"],
            "reason": load["reason"],
        }
        for load in record.loads
    ]
    columns = [name for name in (rows[0] if rows else {}) if any(row[name] is not None for row in rows)]
    if rows:
        output.print_table("loads", columns, [[row[name] for name in columns] for row in rows])


def _print_counts(title: str, what: str, counts: Mapping[str, int]) -> None:
    if counts:
        output.print_table(title, [what, "count"], list(counts.items()))


def _window(load: Mapping[str, Any]) -> str | None:
    if load["window_from"] is None and load["window_to"] is None:
        return None
    return f"{_cell(load['window_from'])} .. {_cell(load['window_to'])}"


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return _moment(value)
    return "" if value is None else value


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
