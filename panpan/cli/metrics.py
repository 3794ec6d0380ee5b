"""
Commands about metrics: value, goals, metrics list, show, check and test.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Annotated

import typer

from panpan.cli import output
from panpan.cli.options import AsJson, Home, parse_moment
from panpan.documentation import metric_facts
from panpan.errors import CheckFailed, UsageError
from panpan.governance.approval import standings
from panpan.settings import load_settings
from transforms import examples, goals, metrics, periods
from transforms.compiler import Query, compile_query, evaluate, total

commands = typer.Typer(name="metrics", help="What each metric means.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add `value`, `goals` and the commands of `metrics`."""
    app.command("value")(value)
    app.command("goals")(show_goals)
    app.add_typer(commands, name="metrics")


def value(
    metric: Annotated[str, typer.Argument(help="Name of the metric.")],
    by: Annotated[list[str] | None, typer.Option("--by", help="Dimension to split by; repeatable.")] = None,
    where: Annotated[list[str] | None, typer.Option("--where", help="DIMENSION=VALUE to keep; repeatable.")] = None,
    period: Annotated[str, typer.Option("--period", help=f"{', '.join(periods.WORDS)}, {periods.SPELLED}.")] = "all",
    compare: Annotated[str | None, typer.Option("--compare", help=f"{', '.join(periods.COMPARISONS)}.")] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="T", help="As it was known at a past moment, ISO 8601.")
    ] = None,
    with_total: Annotated[
        bool, typer.Option("--total", help="Add up the rows; refused where that is no figure.")
    ] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Say a metric's value.

    Example: panpan value revenue --by store --period 2026-05 --compare same-period-last-year
    """
    settings = load_settings(home=home)
    moment = parse_moment(as_of) if as_of else None
    query = Query(metric, tuple(by or []), _filters(where or []), period, compare, moment)
    answer = evaluate(settings, compile_query(query, periods.business_today(settings)))
    summed = {"total": total(answer)} if with_total else {}
    found = answer.plan.metric
    state = standings(settings)[found.name].word(date.today())
    if as_json:
        output.print_json(
            {
                "metric": found.name,
                "state": state,
                "unit": found.unit,
                "plan_id": answer.plan.plan_id,
                "as_of": answer.as_of,
                "rows": answer.rows,
                **summed,
            }
        )
        return
    columns = list(answer.rows[0]) if answer.rows else ["value"]
    rows = [[row.get(name, "total") for name in columns] for row in [*answer.rows, *summed.get("total", [])]]
    output.print_table(f"{found.name}: {found.definition}", columns, rows)
    output.talk.print(f"data as of {answer.as_of}, plan {answer.plan.plan_id}", highlight=False)
    if state != "approved":
        output.talk.print(f"{found.name}: {state} (panpan metrics review)", highlight=False)


def show_goals(home: Home = None, as_json: AsJson = False) -> None:
    """
    Say how far each goal is: where it started, where it shall be, where it is and should be by now.

    Trace a figure by its plan: panpan trace plan:ID.  Example: panpan goals --json
    """
    settings = load_settings(home=home)
    known = goals.load_goals()
    with output.step("working out the goals"):
        goals.refresh_goals(settings, periods.business_today(settings), known)
    progress = {row["goal"]: row for row in goals.read_progress(settings)}
    rows = [
        progress.get(goal.name)
        or {"goal": goal.name, "title": goal.title, "owner": goal.owner, "metric": goal.metric, "verdict": "unknown"}
        for goal in known
    ]
    if as_json:
        output.print_json({"goals": rows})
        return
    columns = ["goal", "day", "base_value", "target_value", "value", "expected_value", "verdict", "owner", "plan_id"]
    output.print_table("goals", columns, [[row.get(name) for name in columns] for row in rows])
    for row in rows:
        output.results.print(f"{row['goal']}: {row['title']}; {row['verdict']}", highlight=False)


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
        facts = [("question", found.question), ("definition", found.definition), *metric_facts(found)]
        output.print_table(found.name, ["", ""], [*facts, *(("edge case", each.says) for each in found.examples)])


@commands.command("check")
def check(as_json: AsJson = False) -> None:
    """
    Check that every definition is whole, and say which review is overdue.

    Exit 3 when a field is missing or wrong.  Example: panpan metrics check
    """
    faults, overdue = metrics.check_metrics(date.today())
    if as_json:
        output.print_json({"faults": faults, "overdue": overdue}, ok=not faults)
        raise typer.Exit(CheckFailed.exit_code if faults else 0)
    for name, due in overdue.items():
        output.talk.print(f"review overdue: {name}, since {due}", highlight=False)
    if faults:
        raise CheckFailed(
            f"{len(faults)} definitions are not whole",
            cause="; ".join(f"{name}: {', '.join(found)}" for name, found in faults.items()),
            next=f"correct the files in {metrics.FOLDER}",
        )
    output.results.print(f"{len(metrics.load_metrics())} definitions are whole", highlight=False)


@commands.command("test")
def test(
    metric: Annotated[str | None, typer.Argument(metavar="[METRIC]", help="Name of the metric; else all.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Run the edge cases of the definitions in PostgreSQL: small given rows, and the value each must give.

    Exit 3 when one gives another.  Example: panpan metrics test revenue
    """
    settings = load_settings(home=home)
    chosen = [metrics.find_metric(metric)] if metric else list(metrics.load_metrics().values())
    with output.step("running the examples"):
        outcomes = examples.run_examples(settings, chosen)
    failed = [each for each in outcomes if not each.is_met]
    if as_json:
        output.print_json({"examples": [asdict(each) for each in outcomes]}, ok=not failed)
        raise typer.Exit(CheckFailed.exit_code if failed else 0)
    rows = [(each.metric, each.says, "yes" if each.is_met else f"NO: {each.found}") for each in outcomes]
    output.print_table("examples", ["metric", "edge case", "holds"], rows)
    if failed:
        raise CheckFailed(
            f"{len(failed)} of {len(outcomes)} examples do not hold",
            cause="; ".join(f"{e.metric}: {e.says} expected {e.expected}, found {e.found}" for e in failed),
        )
