"""
What a rule is, and the register that `@rule` fills.

A rule is a function on a column, or on a frame of columns; it gives Ruled. What it refuses it explains.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeVar

import pandas as pd


@dataclass(frozen=True)
class Ruled:
    """
    What a rule made of its input.

    values: a column, or a frame of the columns the rule gives. refusals: rows it refuses, each mask with the reason.
    """

    values: Any
    refusals: tuple[tuple[pd.Series[bool], str], ...] = ()


@dataclass(frozen=True)
class Example:
    """
    One case of a rule.

    given, gives: a cell for a rule on one column; for a rule on a frame a row (a mapping) or several.
    """

    given: Any
    gives: Any
    options: Mapping[str, Any] = field(default_factory=dict)


def case(given: Any, gives: Any, **options: Any) -> Example:
    """An example with the options the rule is called with; of a failing one `gives` is the reason."""
    return Example(given, gives, options)


@dataclass(frozen=True)
class Rule:
    """A rule with what a reader must know of it; it counts as version `version` since its last change of meaning."""

    name: str
    owner: str
    version: int
    reason: str
    last_review: date
    function: Callable[..., Ruled]
    passes: tuple[Example, ...]
    fails: tuple[Example, ...]
    reads: tuple[str, ...] = ()  # columns of the frame; those an example leaves out are there, unknown

    @property
    def sentence(self) -> str:
        """What it does: the first paragraph of its function's docstring."""
        return " ".join((self.function.__doc__ or "").strip().split("\n\n")[0].split())


REGISTER: dict[str, Rule] = {}
Function = TypeVar("Function", bound=Callable[..., Ruled])


def rule(
    *,
    owner: str,
    reason: str,
    last_review: date,
    passes: Sequence[Example],
    fails: Sequence[Example],
    version: int = 1,
    reads: Sequence[str] = (),
) -> Callable[[Function], Function]:
    """Register a function as the rule of its name; the function itself stays as it is."""

    def registered(function: Function) -> Function:
        name = function.__name__
        if name in REGISTER:
            raise ValueError(f"there are two rules called {name}")
        examples = (tuple(passes), tuple(fails))
        REGISTER[name] = Rule(name, owner, version, reason, last_review, function, *examples, tuple(reads))
        return function

    return registered
