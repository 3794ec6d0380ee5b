"""
Commands about normalization rules: rules list, show, test.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from panpan.cli import output
from panpan.cli.options import AsJson
from panpan.errors import CheckFailed, UsageError
from transforms.rules.catalogue import Tried, rules, shown, try_rule
from transforms.rules.rule import Example, Rule

commands = typer.Typer(
    name="rules",
    help="Normalization rules: what is done to a received value before it counts, and the examples that prove it.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="Name of the rule.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module as `rules`."""
    app.add_typer(commands, name="rules")


@commands.command("list")
def list_(as_json: AsJson = False) -> None:
    """
    List every rule with its owner, version and last review.

    Example: panpan rules list
    """
    known = list(rules().values())
    if as_json:
        output.print_json({"rules": [_facts(rule) for rule in known]})
        return
    columns = ["rule", "what it does", "owner", "version", "last review", "examples"]
    cells = [
        [r.name, r.sentence, r.owner, r.version, r.last_review, f"{len(r.passes)} pass, {len(r.fails)} fail"]
        for r in known
    ]
    output.print_table("rules", columns, cells)


@commands.command("show")
def show(name: Name, as_json: AsJson = False) -> None:
    """
    Show one rule: why it is there, and each example.

    Example: panpan rules show phone
    """
    rule = _rule_named(name)
    if as_json:
        examples = {"passes": _examples(rule.passes), "fails": _examples(rule.fails)}
        output.print_json({**_facts(rule), "reason": rule.reason, **examples})
        return
    head = f"{rule.name}: {rule.sentence}\nwhy: {rule.reason}"
    facts = f"owner {rule.owner}, version {rule.version}, last review {rule.last_review}"
    output.results.print(f"{head}\n{facts}", highlight=False, markup=False)
    cells = [[shown(e.given), _options(e), shown(e.gives)] for e in rule.passes]
    cells += [[shown(e.given), _options(e), f"refused: {e.gives}"] for e in rule.fails]
    output.print_table("examples", ["given", "with", "gives"], cells)


@commands.command("test")
def test(
    name: Annotated[str | None, typer.Argument(help="Only this rule.")] = None,
    as_json: AsJson = False,
) -> None:
    """
    Run the examples of every rule, or of one; exit code 3 when one does not hold.

    Example: panpan rules test phone
    """
    chosen = [_rule_named(name)] if name else list(rules().values())
    tried = [each for rule in chosen for each in try_rule(rule)]
    broken = [each for each in tried if each.found is not None]
    if as_json:
        report: dict[str, Any] = {"rules": len(chosen), "examples": len(tried), "broken": [_told(b) for b in broken]}
        output.print_json(report, ok=not broken)
        if broken:
            raise typer.Exit(CheckFailed.exit_code)
        return
    if broken:
        cells = [[b.rule, _which(b), b.found] for b in broken]
        output.print_table("examples that do not hold", ["rule", "example", "found"], cells)
        raise CheckFailed(
            f"{len(broken)} of {len(tried)} examples do not hold",
            next=f"bin/panpan rules show {broken[0].rule}",
        )
    output.results.print(f"{len(chosen)} rules, {len(tried)} examples hold", highlight=False)


def _rule_named(name: str) -> Rule:
    known = rules()
    if name not in known:
        raise UsageError(
            f"there is no rule {name!r}", cause=f"known rules: {', '.join(known)}", next="bin/panpan rules list"
        )
    return known[name]


def _facts(rule: Rule) -> dict[str, Any]:
    return {
        "rule": rule.name,
        "does": rule.sentence,
        "owner": rule.owner,
        "version": rule.version,
        "last_review": rule.last_review,
    }


def _examples(examples: tuple[Example, ...]) -> list[dict[str, Any]]:
    return [{"given": e.given, "with": dict(e.options), "gives": e.gives} for e in examples]


def _options(example: Example) -> str:
    return "; ".join(f"{name} {shown(value)}" for name, value in example.options.items())


def _which(tried: Tried) -> str:
    return f"{'passes' if tried.passes else 'fails'} {tried.number}"


def _told(tried: Tried) -> dict[str, Any]:
    return {"rule": tried.rule, "example": _which(tried), "found": tried.found}
