"""
What was decided about a file, how sure it is, and the contract that follows from it.

Goes out: Decision and Draft objects, which the writer turns into TOML and the command line into sentences.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Certainty = Literal["proven", "likely", "assumed", "AMBIGUOUS", "warning"]


def counted(count: int, thing: str) -> str:
    """A number with its noun: 1 row, 2 rows."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


@dataclass(frozen=True)
class Decision:
    """One thing decided: what about, what was chosen, why in one plain sentence, and how sure that is."""

    about: str
    choice: str
    evidence: str
    certainty: Certainty = "likely"

    @property
    def remark(self) -> str:
        """The decision as it stands in a comment."""
        return f"{self.certainty}: {self.evidence}"


@dataclass
class DraftValue:
    """A typed column of the contract being written; `remarks` become its comments."""

    source: str | list[str] | None = None
    type: str = "text"
    format: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    required: bool = False
    default: str | None = None
    map: dict[str, str] = field(default_factory=dict)
    only: list[str] = field(default_factory=list)
    fold: bool = False

    @property
    def received(self) -> list[str]:
        """Names of the received columns it reads."""
        return [self.source] if isinstance(self.source, str) else list(self.source or [])


@dataclass
class Draft:
    """The contract being written: settings of the entity, its typed columns, and every decision in order."""

    kind: str
    time_zone: str = ""
    currency_code: str = ""
    entity: dict[str, Any] = field(default_factory=dict)
    columns: dict[str, DraftValue] = field(default_factory=dict)
    zones: dict[str, str] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)

    def decide(self, about: str, choice: str, evidence: str, certainty: Certainty = "likely") -> None:
        """Note a decision."""
        self.decisions.append(Decision(about, choice, evidence, certainty))

    def remarks(self, about: str) -> list[str]:
        """Comments to stand above a place of the contract."""
        return [decision.remark for decision in self.decisions if decision.about == about]


@dataclass(frozen=True)
class Proposal:
    """
    A contract for a file never seen before.

    contract_text: TOML that `load_contract` accepts. decisions: everything guessed, each with its evidence.
    row_count: rows looked at; sampled says whether that was a part of the file.
    """

    source: str
    contract_text: str
    decisions: list[Decision]
    row_count: int
    sampled: bool

    @property
    def open_questions(self) -> list[Decision]:
        """Decisions a person has to look at."""
        return [d for d in self.decisions if d.certainty in ("AMBIGUOUS", "warning")]
