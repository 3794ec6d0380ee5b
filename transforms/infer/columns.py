"""
One received column: its distinct texts, how often each comes, and what kind of values they look like.

Comes in: codes and distinct texts from the reader. Shares are over distinct texts that mean something.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from transforms.infer import numbers
from transforms.infer.moments import Order, layout_of, layouts_of, parse

Codes = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
SAMPLE = 1000
MISSING_WORDS = frozenset(
    [
        "ERROR",
        "UNKNOWN",
        "NONE",
        "N/A",
        "NA",
        "#N/A",
        "NULL",
        "NAN",
        "NIL",
        "-",
        "--",
        "---",
        "?",
        "#VALUE!",
        "#REF!",
        "#DIV/0!",
        "(BLANK)",
        "(EMPTY)",
        "UNDEFINED",
        "MISSING",
        "DESCONOCIDO",
        "INCONNU",
        "UNBEKANNT",
        "SCONOSCIUTO",
    ]
)


TOTAL = re.compile(r"(grand |sub)?total(s|e|es)?( general)?|suma|sum|somme|summe|gesamt", re.IGNORECASE)


@dataclass(eq=False)
class Column:
    """
    A column of the file.

    codes: one per row, the place of its text in `texts`; texts: the distinct texts as received.
    """

    name: str
    place: int
    codes: Codes
    texts: list[str]

    @cached_property
    def stripped(self) -> list[str]:
        """The distinct texts without outer blanks (no-break ones too)."""
        return [text.strip() for text in self.texts]

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """Rows per distinct text."""
        return np.bincount(self.codes, minlength=len(self.texts)).astype(np.int64)

    @cached_property
    def says_nothing(self) -> Mask:
        """Which distinct texts are blank or a word for missing."""
        return np.array([not text or text.upper() in MISSING_WORDS for text in self.stripped], dtype=bool)

    @cached_property
    def present_rows(self) -> Mask:
        """Which rows hold something."""
        return ~self.says_nothing[self.codes]

    @cached_property
    def filled_share(self) -> float:
        """Share of rows that hold something."""
        return float(self.present_rows.mean())

    @cached_property
    def values(self) -> list[str]:
        """Distinct stripped texts that mean something."""
        return [t for t, nothing in zip(self.stripped, self.says_nothing, strict=True) if not nothing]

    @cached_property
    def value_counts(self) -> Counter[str]:
        """Rows per stripped text that means something."""
        found: Counter[str] = Counter()
        for text, nothing, count in zip(self.stripped, self.says_nothing, self.counts, strict=True):
            if not nothing:
                found[text] += int(count)
        return found

    @cached_property
    def missing_counts(self) -> dict[str, int]:
        """Rows per raw text that means nothing, the empty text left out."""
        return {
            text: int(count)
            for text, nothing, count in zip(self.texts, self.says_nothing, self.counts, strict=True)
            if nothing and text
        }

    @cached_property
    def sample(self) -> list[str]:
        """Up to SAMPLE distinct values, evenly spread; the word before a total tells nothing of a column."""
        sample = self.values[:: max(1, len(self.values) // SAMPLE)]
        return [value for value in sample if TOTAL.fullmatch(value) is None] or sample

    def share(self, holds: Callable[[str], bool]) -> float:
        """Share of the sample for which something holds; 0 when the column is empty."""
        return sum(map(holds, self.sample)) / len(self.sample) if self.sample else 0.0

    @cached_property
    def is_empty(self) -> bool:
        """Whether no row holds anything."""
        return not self.values

    @cached_property
    def number_share(self) -> float:
        """Share of values that are numbers or amounts."""
        return self.share(numbers.is_number)

    @cached_property
    def _layouts(self) -> list[tuple[bool, bool]]:
        found = (layout_of(text) for text in self.sample)
        return [(bool(layout and layout.has_date), bool(layout and layout.has_time)) for layout in found]

    def _layout_share(self, wanted: tuple[bool, bool]) -> float:
        return sum(found == wanted for found in self._layouts) / len(self._layouts) if self._layouts else 0.0

    @property
    def date_share(self) -> float:
        """Share of values that are dates without a clock time."""
        return self._layout_share((True, False))

    @property
    def time_share(self) -> float:
        """Share of values that are clock times."""
        return self._layout_share((False, True))

    @property
    def moment_share(self) -> float:
        """Share of values that are dates with a clock time."""
        return self._layout_share((True, True))

    @cached_property
    def patterns(self) -> pd.Series[str]:
        """Layout pattern of each distinct value, empty where it is no moment."""
        return layouts_of(self.values)

    @cached_property
    def marks(self) -> numbers.MarkEvidence:
        """What its numbers tell about the decimal mark."""
        return numbers.mark_evidence(self.values)

    def row_numbers(self, mark: numbers.Mark) -> numbers.Floats:
        """A number per row; NaN where there is none."""
        by_text = numbers.as_floats(self.stripped, mark)
        by_text[self.says_nothing] = np.nan
        return by_text[self.codes]

    def row_moments(self, order: Order) -> pd.Series[pd.Timestamp]:
        """A moment per row; NaT where there is none."""
        used = [pattern for pattern in self.patterns.value_counts().index if pattern]
        parsed = parse(self.stripped, used, order)
        return pd.Series(parsed.mask(self.says_nothing).to_numpy()[self.codes])

    @cached_property
    def keys(self) -> Codes:
        """A code per row that is equal for texts equal but for outer blanks."""
        codes, _ = pd.factorize(np.array(self.stripped, dtype=object))
        return np.asarray(codes, dtype=np.int32)[self.codes]

    @property
    def distinct_count(self) -> int:
        """Distinct values that mean something."""
        return len(self.values)
