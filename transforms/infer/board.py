"""
The columns of a file while meanings are being given to them: each column gets at most one, save where noted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from transforms.infer.columns import Column
from transforms.infer.meanings import Words
from transforms.infer.naming import Candidate, candidates
from transforms.infer.reading import ReceivedTable

Fits = Callable[[Candidate], bool]


@dataclass
class Board:
    """The table, and which column was taken for which meaning."""

    table: ReceivedTable
    taken: dict[str, Column] = field(default_factory=dict)

    @property
    def free(self) -> list[Column]:
        """Columns without a meaning yet."""
        return [c for c in self.table.columns if all(c is not used for used in self.taken.values())]

    def take(self, meaning: str, column: Column) -> None:
        """Give a column a meaning."""
        self.taken[meaning] = column

    def candidates(self, words: Words) -> list[Candidate]:
        """Free columns whose names fit, the best first."""
        return candidates(self.free, words)

    def assign(self, meanings: Mapping[str, Words], fits: Mapping[str, Fits]) -> dict[str, Candidate]:
        """Give every meaning its best column, the best fits first; values must agree with the meaning."""
        options = [
            (candidate.score, meaning, candidate)
            for meaning, words in meanings.items()
            for candidate in self.candidates(words)
            if meaning not in fits or fits[meaning](candidate)
        ]
        given: dict[str, Candidate] = {}
        for _, meaning, candidate in sorted(options, key=lambda o: (-o[0], o[2].column.place)):
            if meaning not in given and candidate.column in self.free:
                given[meaning] = candidate
                self.take(meaning, candidate.column)
        return given
