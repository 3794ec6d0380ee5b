"""
Commands about systems that disagree: reconcile a metric, the register of discrepancies, decisions about them.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.settings import load_settings
from transforms import reconcile as work
from transforms.periods import business_today

SHOWN = 20


class MetricFirst(TyperGroup):
    """`panpan reconcile revenue 2026-05`: what is no command is a metric."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        is_metric = args and args[0] not in self.commands
        return super().resolve_command(ctx, ["metric", *args] if is_metric else args)


commands = typer.Typer(
    name="reconcile", help="Where two systems say different things.", no_args_is_help=True, cls=MetricFirst
)


def register(app: typer.Typer) -> None:
    """Add `reconcile` and its commands."""
    app.add_typer(commands, name="reconcile")


@commands.command("metric")
def metric(
    name: Annotated[str, typer.Argument(metavar="METRIC", help="revenue, items or new_customers.")],
    period: Annotated[str, typer.Argument(metavar="PERIOD", help="2026-05, last-month, 2026-05-01..2026-06-30.")],
    catalogue: Annotated[str | None, typer.Option("--catalogue", help="Only sources of this catalogue.")] = None,
    currency: Annotated[str | None, typer.Option("--currency", help="Of amounts in several currencies.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Say why two systems differ on a metric: timing, definition, scope, missing or duplicate records, errors, the rest.

    The word metric may be left out.  Example: panpan reconcile metric items 2026-05
    """
    settings = load_settings(home=home)
    found = work.reconcile(settings, name, period, business_today(settings), catalogue, currency)
    if as_json:
        output.print_json(as_facts(found))
        return
    for pair in found.pairs:
        _print_pair(found, pair)


def as_facts(found: work.Reconciliation) -> dict[str, Any]:
    """The reconciliation for programs."""
    return {
        "metric": found.metric.name,
        "comparison": found.comparison.name,
        "first_day": found.first_day,
        "last_day": found.last_day,
        "currency_code": found.pairs[0].currency,
        "ours": sum(pair.ours for pair in found.pairs),
        "theirs": sum(pair.theirs for pair in found.pairs),
        "difference": found.difference,
        "classes": found.classes,
        "residual": found.residual,
        "reference_only": [found.comparison.theirs, *found.metric.reference_only],
        "pairs": [
            {
                **asdict(pair),
                "difference": pair.difference,
                "classes": pair.classes,
                "gross": pair.gross,
                "residual": pair.residual,
            }
            for pair in found.pairs
        ],
    }


def _print_pair(found: work.Reconciliation, pair: work.Pair) -> None:
    unit = pair.currency or found.metric.unit
    output.print_table(
        f"{found.metric.name} of {found.first_day} to {found.last_day}, {pair.catalogue}, in {unit}",
        ["class", "why", "amount", "moved", "records"],
        [(r.kind, r.reason, r.amount, r.gross, r.records) for r in pair.reasons],
    )
    output.results.print(
        f"{found.comparison.ours} ({', '.join(pair.our_sources)}): {pair.ours}; "
        f"{found.comparison.theirs} ({', '.join(pair.their_sources)}): {pair.theirs}; "
        f"difference {pair.difference}, of which no record explains {pair.residual}",
        highlight=False,
    )


@commands.command("list")
def list_(
    status: Annotated[str | None, typer.Option("--status", help="open, accepted or resolved.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    List the discrepancies that are known, the open ones first.

    Example: panpan reconcile list --status open
    """
    found = work.discrepancies(load_settings(home=home), status)
    if as_json:
        output.print_json({"discrepancies": found})
        return
    columns = ["discrepancy_id", "metric", "catalogue", "class", "reason", "amount", "status", "canonical", "decision"]
    output.print_table("discrepancies", columns, [[row[name] for name in columns] for row in found])


@commands.command("decide")
def decide(
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="Number of the discrepancy.")],
    by: Annotated[str, typer.Option("--by", help="Who decides.")],
    decision: Annotated[str, typer.Option("--decision", help="What is decided, in words.")],
    status: Annotated[str, typer.Option("--status", help="open, accepted or resolved.")] = "accepted",
    canonical: Annotated[str | None, typer.Option("--canonical", help="Which side counts.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Write down what was decided about a discrepancy, and by whom.

    Example: panpan reconcile decide 3 --by Ana --canonical pos --decision "returns are thrown away"
    """
    found = work.decide(load_settings(home=home), number, status, decision, canonical, by)
    if as_json:
        output.print_json({"discrepancy": found})
    else:
        output.results.print(f"discrepancy {number} is {found['status']}: {found['decision']}", highlight=False)
