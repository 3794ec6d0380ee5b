"""
All rules, their examples as a test, and docs/rules.md.

Comes in: the modules of this package. Goes out: the register, what each example gave, a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd

from transforms.formatted.values import NUMBER, TEXT
from transforms.rules import ids, money, people, products, receipts
from transforms.rules.rule import REGISTER, Example, Rule, Ruled

MODULES = (people, products, ids, money, receipts)  # importing one registers its rules
NUMBERS = ("quantity", "on_hand_quantity", "reorder_level", "unit_price", "unit_cost", "list_price")


@dataclass(frozen=True)
class Tried:
    """One example and what came of it; `found` says what was there instead, None where the example holds."""

    rule: str
    passes: bool
    number: int
    found: str | None


def rules() -> dict[str, Rule]:
    """Every rule by name, in the order of the modules."""
    places = {module.__name__: place for place, module in enumerate(MODULES)}
    return dict(sorted(REGISTER.items(), key=lambda item: places.get(item[1].function.__module__, len(places))))


def try_rule(rule: Rule) -> list[Tried]:
    """Run a rule's examples: what passes must give what it says, what fails must be refused for that reason."""
    passed = [
        Tried(rule.name, True, number, _difference(rule, example))
        for number, example in enumerate(rule.passes, start=1)
    ]
    failed = [
        Tried(rule.name, False, number, _other_reason(rule, example))
        for number, example in enumerate(rule.fails, start=1)
    ]
    return passed + failed


def _difference(rule: Rule, example: Example) -> str | None:
    ruled = rule.function(column_of(example.given, rule.reads), **example.options)
    refused = [why for mask, why in ruled.refusals if mask.any()]
    if refused:
        return f"refused: {refused[0]}"
    wanted = example.gives if isinstance(example.gives, list) else [example.gives]
    found = _cells(ruled)
    if len(found) != len(wanted):
        return f"{len(found)} rows"
    for had, want in zip(found, wanted, strict=True):
        same = {name: had.get(name) for name in want} == want if isinstance(want, Mapping) else had == want
        if not same:
            return shown({name: had.get(name) for name in want} if isinstance(want, Mapping) else had)
    return None


def _other_reason(rule: Rule, example: Example) -> str | None:
    ruled = rule.function(column_of(example.given, rule.reads), **example.options)
    reasons = [why for mask, why in ruled.refusals if mask.any()]
    if example.gives in reasons:
        return None
    return f"refused: {reasons[0]}" if reasons else "not refused"


def column_of(given: Any, reads: Sequence[str] = ()) -> Any:
    """An example's input as what the rule takes: a column of one cell, or a frame of one row or several."""
    rows = given if isinstance(given, list) else [given]
    if not isinstance(rows[0], Mapping):
        return pd.Series(rows, dtype=TEXT)
    names = dict.fromkeys([*(name for row in rows for name in row), *reads])
    return pd.DataFrame({name: _typed(name, [row.get(name) for row in rows]) for name in names})


def _typed(name: str, cells: list[Any]) -> pd.Series[Any]:
    if name in NUMBERS or name.endswith("_amount"):
        return pd.Series([None if cell is None else Decimal(cell) for cell in cells], dtype=NUMBER)
    if name.startswith("is_"):
        return pd.Series(cells, dtype=bool)
    return pd.Series(cells, dtype=TEXT)


def _cells(ruled: Ruled) -> list[Any]:
    if isinstance(ruled.values, pd.DataFrame):
        return [{name: _cell(value) for name, value in row.items()} for row in ruled.values.to_dict("records")]
    return [_cell(value) for value in ruled.values]


def _cell(value: Any) -> Any:
    return None if pd.isna(value) else value


# --- the page ----------------------------------------------------------------------------------------------

MADE_BY = "<!-- Made by `python -m panpan.documentation`; changes belong into transforms/rules. -->"
INTRODUCTION = """\
What is done to a received value before it counts, one small rule each. `panpan rules test` runs every example below;
they are what really runs, not a description of it. Which rules a source needs stands in its contract
([sources](sources.md)).
"""


def page() -> str:
    """docs/rules.md: the list, then each rule with its examples."""
    known = rules()
    heads = "| rule | what it does | owner | version | last review |\n| --- | --- | --- | --- | --- |\n"
    table = "".join(
        f"| [{name}](#{name}) | {_escaped(each.sentence)} | {each.owner} | {each.version} | {each.last_review} |\n"
        for name, each in known.items()
    )
    return f"{MADE_BY}\n\n# Rules\n\n{INTRODUCTION}\n{heads}{table}\n" + "\n".join(_section(r) for r in known.values())


def _section(rule: Rule) -> str:
    heads = "| given | with | gives |\n| --- | --- | --- |\n"
    passes = "".join(f"| {_code(e.given)} | {_options(e)} | {_code(e.gives)} |\n" for e in rule.passes)
    fails = "".join(f"| {_code(e.given)} | {_options(e)} | refused: {_escaped(str(e.gives))} |\n" for e in rule.fails)
    return (
        f"## {rule.name}\n\n{rule.sentence}\n\nWhy: {rule.reason}\n\n"
        f"Owner {rule.owner}, version {rule.version}, reviewed {rule.last_review}.\n\n{heads}{passes}{fails}"
    )


def _options(example: Example) -> str:
    return "; ".join(f"{name} {shown(value)}" for name, value in example.options.items())


def _code(value: Any) -> str:
    rows = value if isinstance(value, list) else [value]
    return "<br>".join(f"`{shown(row)}`" for row in rows).replace("|", "\\|")


def shown(value: Any) -> str:
    """A cell, row or option in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {shown(cell)}" for name, cell in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "nothing"
    return repr(value).replace("`", "'") if isinstance(value, str) and value != value.strip() else str(value)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "\\<")
