"""
How well a column's name fits a meaning: names and phrases compared as words, without case, accents, plurals.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from transforms.infer.columns import Column
from transforms.infer.meanings import Words

EXACT, INSIDE = 100.0, 72.0
EXTRA_WORD, WEAKER, LATER = 4.0, 30.0, 0.05
ENOUGH = 40.0


@dataclass(frozen=True)
class Candidate:
    """A column that may carry a meaning, how well its name fits, and the phrase that fitted."""

    column: Column
    score: float
    phrase: str
    is_weak: bool


@cache
def words_of(name: str) -> tuple[str, ...]:
    """A name's words: `customerFirst-Name ` -> customer, first, name."""
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss").replace("#", " no "))
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", plain).lower()
    return tuple(_singular(word) for word in re.findall(r"[a-z]+|\d+", plain))


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") else word


@cache
def _phrases(text: str) -> dict[tuple[str, ...], int]:
    """Phrases as words, each with its rank."""
    phrases = (words_of(phrase) for phrase in text.split(",") if phrase.strip())
    return {phrase: rank for rank, phrase in reversed(list(enumerate(phrases)))}


def candidates(columns: Iterable[Column], words: Words) -> list[Candidate]:
    """Columns whose names fit a meaning, the best first."""
    found = [candidate for column in columns if (candidate := _candidate(column, words))]
    return sorted(found, key=lambda c: (-c.score, c.column.place))


def _candidate(column: Column, words: Words) -> Candidate | None:
    name = words_of(re.sub(r"#\d+$", "", column.name))
    exact = name in _phrases(words.strong) or name in _phrases(words.weak)
    if not exact and any(part in _phrases(words.never) for part in _parts(name)):
        return None
    strong, weak = _best(name, words.strong), _best(name, words.weak)
    score, phrase = max(strong, (weak[0] - WEAKER, weak[1]))
    if score < ENOUGH:
        return None
    return Candidate(column, score, " ".join(phrase), strong[0] < score)


def _best(name: tuple[str, ...], phrases: str) -> tuple[float, tuple[str, ...]]:
    ranks = _phrases(phrases)
    scored = [(_score(name, part) - LATER * ranks[part], part) for part in _parts(name) if part in ranks]
    return max(scored, default=(0.0, ()))


def _score(name: tuple[str, ...], phrase: tuple[str, ...]) -> float:
    return EXACT if name == phrase else INSIDE - EXTRA_WORD * (len(name) - len(phrase))


@cache
def _parts(name: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Every run of neighbouring words in a name."""
    return [name[start:end] for start in range(len(name)) for end in range(start + 1, len(name) + 1)]
