"""
Commands about the past: evolve, asof, and transform rebuild.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date
from typing import Annotated

import typer

from panpan.cli import output, transform
from panpan.cli.options import AsJson, Home, parse_moment
from panpan.errors import CheckFailed, UsageError
from panpan.settings import load_settings
from transforms import asof as past
from transforms import published
from transforms.rebuild import rebuild as rebuild_all

BAR = "█"
BAR_WIDTH = 40


def register(app: typer.Typer) -> None:
    """Add `evolve`, `asof` and `transform rebuild`."""
    app.command("evolve")(evolve)
    app.command("asof")(asof)
    transform.commands.command("rebuild")(rebuild)


def evolve(
    metric: Annotated[str, typer.Argument(help="Name of the metric.")],
    day: Annotated[str, typer.Option("--day", help="Business date, 2026-05-31.")],
    where: Annotated[list[str] | None, typer.Option("--where", help="store, source or channel=VALUE.")] = None,
    currency: Annotated[str | None, typer.Option("--currency", help="Of amounts in several currencies.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Show how the figure of one day came to be what it is: each step with its cause.

    Example: panpan evolve revenue --day 2026-05-31 --where store=centro
    """
    filters = dict(word.partition("=")[::2] for word in where or [])
    found = published.evolve(load_settings(home=home), metric, _day(day), filters, currency)
    if as_json:
        output.print_json({"steps": [asdict(step) for step in found.steps], "unexplained": found.unexplained})
        return
    most = max((abs(step.value) for step in found.steps), default=0)
    output.print_table(
        f"{metric} of {day}",
        ["known at", "value", "change", "cause", "receipts", ""],
        [
            (
                f"{step.known_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
                f"{step.value:.2f}",
                f"{step.delta:+.2f}",
                ", ".join(f"{cause} {amount:+.2f}" for cause, amount in step.causes.items()),
                step.receipts,
                BAR * (round(BAR_WIDTH * step.value / most) if most else 0),
            )
            for step in found.steps
        ],
    )
    output.results.print(f"unexplained: {found.unexplained:.2f}", highlight=False)


def asof(
    moment: Annotated[str, typer.Argument(metavar="T", help="Moment in ISO 8601; without zone it is UTC.")],
    table: Annotated[str, typer.Argument(help="sales, customers, marts.daily_store_sales, ...")],
    limit: Annotated[int, typer.Option("--limit", help="At most so many rows; 0 is all.", min=0)] = 20,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Show a table as it was known at a past moment.

    Example: panpan asof 2026-10-05T12:00 marts.daily_store_sales
    """
    rows = past.rows_as_of(load_settings(home=home), parse_moment(moment), table, limit or None)
    if as_json:
        output.print_json({"table": table, "as_of": moment, "rows": rows})
        return
    columns = list(rows[0]) if rows else ["no rows"]
    output.print_table(f"{table} as known at {moment}", columns, [[row[name] for name in columns] for row in rows])


def rebuild(
    compare: Annotated[bool, typer.Option("--compare", help="Only compare; exit 3 when a table differs.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Replay every load by the rules of today and compare; without --compare bring the differences into the model.

    Example: panpan transform rebuild --compare
    """
    settings = load_settings(home=home)
    found = rebuild_all(settings, compare_only=compare, progress=lambda text: output.talk.print(text, highlight=False))
    if as_json:
        output.print_json(
            {"tables": [asdict(c) for c in found.comparisons], "equal": found.is_equal, "changed": found.changed},
            ok=found.is_equal or not compare,
        )
    else:
        rows = [(c.table, c.rows, c.rebuilt_rows, "equal" if c.is_equal else "differs") for c in found.comparisons]
        output.print_table("model and rebuild", ["table", "rows", "rebuilt", ""], rows)
        if not compare:
            output.results.print(f"{found.changed} rows changed", highlight=False)
    if compare and not found.is_equal:
        raise CheckFailed(
            "the model differs from what raw gives by the rules of today",
            cause=", ".join(c.table for c in found.comparisons if not c.is_equal),
            next="bin/panpan transform rebuild",
        )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no day", cause="expected the form 2026-05-31") from None
