"""
The dated floors of floors.yaml: which versions may be used, and which known holes a version has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parent / "floors.yaml"
Version = tuple[int, ...]


@dataclass(frozen=True)
class Hole:
    """One published hole; `fixed` is empty for Metabase, which mends each of its lines."""

    id: str
    published: date
    what: str
    fixed: Version = ()
    lines: Mapping[int, int] | None = None
    closed_by: str | None = None


@dataclass(frozen=True)
class Product:
    """What is known of one program."""

    name: str
    floor: str
    pinned: str
    container: str
    tested: str
    holes: tuple[Hole, ...]
    line_floors: Mapping[int, int]

    def holes_of(self, version: str) -> list[Hole]:
        """The known holes that a version still has."""
        found = numbers(version)
        if self.line_floors:
            line, release = (*found, 0, 0, 0)[1:3]
            return [hole for hole in self.holes if _is_in_lines(hole.lines or {}, line, release)]
        return [hole for hole in self.holes if found < hole.fixed]

    def is_below(self, version: str) -> bool:
        """Whether a version is below the floor (for Metabase: of its line)."""
        found = numbers(version)
        if not self.line_floors:
            return found < numbers(self.floor)
        line, release = (*found, 0, 0, 0)[1:3]
        return line < min(self.line_floors) or release < self.line_floors.get(line, 0)


def numbers(version: str) -> Version:
    """(2, 43, 3) of "v2.43.3-beta"."""
    return tuple(map(int, re.findall(r"\d+", version.partition("-")[0])))


@cache
def stated_on() -> date:
    """When these floors were last looked at."""
    found: date = _content()["stated_on"]
    return found


@cache
def products() -> dict[str, Product]:
    """All programs by name."""
    return {name: _product(name, facts) for name, facts in _content().items() if name != "stated_on"}


def _product(name: str, facts: Mapping[str, Any]) -> Product:
    lines = facts.get("floors", {})
    floor = facts.get("floor") or " ".join(f"0.{line}.{release}" for line, release in lines.items())
    return Product(
        name=name,
        floor=floor,
        pinned=facts.get("pinned", ""),
        container=facts.get("container", ""),
        tested=facts["tested"],
        holes=tuple(_hole(each) for each in facts.get("holes", [])),
        line_floors=lines,
    )


def _hole(facts: Mapping[str, Any]) -> Hole:
    return Hole(**{**facts, "fixed": numbers(facts.get("fixed", ""))})


def _is_in_lines(lines: Mapping[int, int], line: int, release: int) -> bool:
    """A line older than all mended ones was never mended."""
    return line < min(lines) or release < lines.get(line, 0)


@cache
def _content() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return content
