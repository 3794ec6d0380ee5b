"""
Commands about who is one customer: match list, explain, merge, split, undo.
"""

from __future__ import annotations

import getpass
from typing import Annotated, Any

import typer

from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.settings import load_settings
from transforms.matching import decisions
from transforms.matching import explain as explaining
from transforms.matching.decisions import Outcome
from transforms.matching.persons import Record

commands = typer.Typer(
    name="match",
    help="Customers of several sources that are one person: why, who was refused, and what you decide yourself.",
    no_args_is_help=True,
)
Reason = Annotated[str, typer.Option("--reason", help="Why, for whoever reads it in a year.")]
By = Annotated[str | None, typer.Option("--by", help="Who decides.  [default: the account's name]")]
NAMED = "Customer id, or a record as SOURCE:ID."
NO_REASON = "no reason given"


def register(app: typer.Typer) -> None:
    """Add the commands of this module as `match`."""
    app.add_typer(commands, name="match")


@commands.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", help="At most so many candidates.", min=1, max=10_000)] = 50,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    List pairs that agree in something and were not made one, the likeliest first, and the decisions that hold.

    Example: panpan match list --limit 20
    """
    found = explaining.candidates(load_settings(home=home), limit)
    if as_json:
        output.print_json(found)
        return
    _print("candidates", ["record", "other", "rule", "score", "reason"], found["candidates"])
    _print("decisions", ["decision_id", "decision", "record", "others", "reason", "decided_by"], found["decisions"])


@commands.command("explain")
def explain(
    named: Annotated[str, typer.Argument(metavar="CUSTOMER", help=NAMED)],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Show the records a customer is made of, the rule and score that joined each, and who was refused and why.

    Values are masked.  Example: panpan match explain crm:20000002192
    """
    found = explaining.explain(load_settings(home=home), named)
    if as_json:
        output.print_json(found)
        return
    _print(
        f"customer {found['customer_id']}",
        ["record", "rule", "score", "with", "agree", "differ", "told"],
        [
            {
                **record,
                **record["evidence"],
                "told": "; ".join(f"{fact['attribute']} {fact['value']}" for fact in record["facts"]),
            }
            for record in found["records"]
        ],
    )
    _print("refused", ["record", "other", "rule", "score", "reason"], found["refused"])
    _print("shared by many, so they do not count", ["rule", "value", "names", "ids"], found["shared"])
    _print("decisions", ["decision_id", "decision", "record", "others", "reason", "undone_by"], found["decisions"])


@commands.command("merge")
def merge(
    left: Annotated[str, typer.Argument(metavar="A", help=NAMED)],
    right: Annotated[str, typer.Argument(metavar="B", help=NAMED)],
    reason: Reason = NO_REASON,
    by: By = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Decide that two customers are one person; no rule parts them again. The older id stays.

    Example: panpan match merge crm:501 pos:7QX --reason "she said so at the counter"
    """
    outcome = decisions.merge_customers(
        load_settings(home=home), left, right, by=by or getpass.getuser(), reason=reason
    )
    _report(outcome, as_json)


@commands.command("split")
def split(
    source: Annotated[str, typer.Argument(help="Source of the record.")],
    source_customer_id: Annotated[str, typer.Argument(metavar="ID", help="What the source calls the customer.")],
    customer: Annotated[str, typer.Option("--from", metavar="CUSTOMER", help=f"{NAMED} The record leaves it.")],
    reason: Reason = NO_REASON,
    by: By = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Decide that a record is another person than the other records of its customer; no rule joins them again.

    Example: panpan match split crm 501 --from pos:7QX --reason "father and son"
    """
    record = Record(source, source_customer_id)
    outcome = decisions.split_customer(
        load_settings(home=home), record, customer, by=by or getpass.getuser(), reason=reason
    )
    _report(outcome, as_json)


@commands.command("undo")
def undo(
    decision_id: Annotated[int, typer.Argument(metavar="DECISION", help="Number of the decision.")],
    by: By = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Take a decision back: rules and the other decisions say again who is who, with the same ids as before.

    Example: panpan match undo 3
    """
    _report(decisions.undo_decision(load_settings(home=home), decision_id, by=by or getpass.getuser()), as_json)


def _report(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        output.print_json({"decision_id": outcome.decision_id, "customers": outcome.customers})
        return
    rows = [{"record": record, "customer": customer} for record, customer in outcome.customers.items()]
    _print(f"decision {outcome.decision_id}", ["record", "customer"], rows)


def _print(title: str, columns: list[str], rows: list[dict[str, Any]]) -> None:
    if rows:
        output.print_table(title, columns, [[_cell(row.get(column)) for column in columns] for row in rows])


def _cell(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value
