"""
Commands of governance: metrics propose, approve, review; ssot.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Annotated

import typer

from panpan.cli import metrics, output
from panpan.cli.options import AsJson, Home
from panpan.errors import UsageError
from panpan.governance import approval
from panpan.governance.approval import Standing
from panpan.governance.score import score
from panpan.settings import load_settings

Name = Annotated[str, typer.Argument(help="Name of the metric.")]
By = Annotated[str, typer.Option("--by", help="Who does it.")]
Why = Annotated[str, typer.Option("--why", help="Why.")]


def register(app: typer.Typer) -> None:
    """Add `metrics propose`, `metrics approve`, `metrics review` and `ssot`."""
    metrics.commands.command("propose")(propose)
    metrics.commands.command("approve")(approve)
    metrics.commands.command("review")(review)
    app.command("ssot")(ssot)


def propose(
    what: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A metric's file, or a metric that was changed.")],
    by: By,
    why: Why,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Ask for the approval of a metric. Until another person approves it, it is a draft.

    Example: panpan metrics propose tips.yaml --by Ana --why "We share tips since May"
    """
    _say([approval.propose(load_settings(home=home), what, by, why)], as_json)


def approve(name: Name, by: By, why: Why = "as it should be", home: Home = None, as_json: AsJson = False) -> None:
    """
    Approve a metric that another person proposed.

    Example: panpan metrics approve tips --by Luis
    """
    _say([approval.approve(load_settings(home=home), name, by, why)], as_json)


def review(
    name: Annotated[str | None, typer.Argument(help="Name of the metric.")] = None,
    by: Annotated[str | None, typer.Option("--by", help="Who reviewed it.")] = None,
    why: Why = "still means what it should",
    due: Annotated[bool, typer.Option("--due", help="List the metrics whose review is overdue.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Say that a metric was reviewed, or list what is due. A review is due 92 days after the last one.

    Example: panpan metrics review --due
    """
    settings = load_settings(home=home)
    if name and by:
        _say([approval.review(settings, name, by, why)], as_json)
    elif name or by:
        raise UsageError("a review needs a metric and a person", next="panpan metrics review revenue --by Ana")
    else:
        found = approval.standings(settings).values()
        _say([each for each in found if not due or each.is_overdue(date.today())], as_json)


def _say(found: list[Standing], as_json: bool) -> None:
    today = date.today()
    rows = [{**asdict(each), "state": each.word(today)} for each in found]
    if as_json:
        output.print_json({"metrics": rows})
        return
    columns = ["metric", "state", "proposed_by", "approved_by", "approved_on", "review_due"]
    output.print_table("metrics", columns, [[row[name] for name in columns] for row in rows])


def ssot(home: Home = None, as_json: AsJson = False) -> None:
    """
    Say how far there is one truth, measure by measure, and how that changed.

    Example: panpan ssot
    """
    found = score(load_settings(home=home), date.today())
    if as_json:
        measures = [{**asdict(each), "share": each.share} for each in found.measures]
        trend = [{"day": day, "percent": percent} for day, percent in found.trend]
        output.print_json({"percent": found.percent, "measures": measures, "trend": trend})
        return
    rows = [[e.name, "unknown" if e.share is None else f"{100 * e.share:.0f} %", e.says] for e in found.measures]
    output.print_table(f"one truth: {_percent(found.percent)}", ["measure", "", ""], rows)
    so_far = ", ".join(f"{day:%-d %b} {_percent(percent)}" for day, percent in found.trend[-7:])
    output.results.print(f"so far: {so_far}", highlight=False)


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f} %"
