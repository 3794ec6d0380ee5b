"""
Commands about metrics: value, metrics list, metrics show.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.errors import UsageError
from panpan.settings import load_settings
from transforms import metrics
from transforms.trace import keep_plan

commands = typer.Typer(name="metrics", help="What each metric means.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add `value` and the commands of `metrics`."""
    app.command("value")(value)
    app.add_typer(commands, name="metrics")


def value(
    metric: Annotated[str, typer.Argument(help="Name of the metric.")],
    by: Annotated[list[str] | None, typer.Option("--by", help="Dimension to split by; repeatable.")] = None,
    where: Annotated[list[str] | None, typer.Option("--where", help="DIMENSION=VALUE to keep; repeatable.")] = None,
    period: Annotated[
        str,
        typer.Option("--period", help="today, yesterday, last-week, month-to-date, 2026-05, 2026-Q2, A..B, all."),
    ] = "all",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Say a metric's value.

    Example: panpan value revenue --by store --period 2026-05
    """
    settings, filters = load_settings(home=home), _filters(where or [])
    answer = metrics.value(settings, metric, by or [], filters, period, date.today())
    keep_plan(settings, answer, filters, period)
    if as_json:
        output.print_json(
            {
                "metric": answer.metric.name,
                "unit": answer.metric.unit,
                "plan_id": answer.plan_id,
                "as_of": answer.as_of,
                "rows": answer.rows,
            }
        )
        return
    columns = list(answer.rows[0]) if answer.rows else ["value"]
    output.print_table(
        f"{answer.metric.name}: {answer.metric.definition}",
        columns,
        [[row[c] for c in columns] for row in answer.rows],
    )
    output.talk.print(f"data as of {answer.as_of}, plan {answer.plan_id}", highlight=False)


def _filters(words: list[str]) -> dict[str, str]:
    filters = {}
    for word in words:
        name, equals, wanted = word.partition("=")
        if not equals:
            raise UsageError(f"--where {word!r} is no filter", cause="expected DIMENSION=VALUE")
        filters[name] = wanted
    return filters


@commands.command("list")
def list_(as_json: AsJson = False) -> None:
    """
    List the metrics and the questions they answer.

    Example: panpan metrics list
    """
    known = metrics.load_metrics().values()
    if as_json:
        output.print_json({"metrics": [metric.model_dump() for metric in known]})
    else:
        output.print_table("metrics", ["metric", "question", "unit"], [[m.name, m.question, m.unit] for m in known])


@commands.command("show")
def show(metric: Annotated[str, typer.Argument(help="Name of the metric.")], as_json: AsJson = False) -> None:
    """
    Show a metric's definition.

    Example: panpan metrics show revenue
    """
    found = metrics.find_metric(metric)
    if as_json:
        output.print_json(found.model_dump())
    else:
        output.print_table(found.name, ["", ""], [[name, str(text)] for name, text in found.model_dump().items()])
