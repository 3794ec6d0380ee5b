"""
What may be said: metric names and their synonyms, dimensions, the values the data hold, and the small words between.

Comes in: the catalogue, vocabulary.yaml (reviewed like code), the values of the data. Goes out: phrases and what they
may mean. A phrase with several meanings is left open; the grammar asks back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict

from panpan.ask.words import phrase
from transforms.metrics import Metric
from transforms.periods import COMPARISONS

VOCABULARY = Path(__file__).parent / "vocabulary.yaml"
# Names of which people use a part alone: Centro of PanPan Centro. A part this short says nothing ("de", "12").
PARTED = ("store", "product")
SHORTEST_PART = 3


class Vocabulary(BaseModel):
    """The reviewed words of vocabulary.yaml; each list holds phrases in English and Spanish."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fillers: list[str]
    by: list[str]
    which: list[str]
    together: list[str]
    how_many: list[str]
    how_much: list[str]
    compared: list[str]
    now: list[str]
    highest: list[str]
    lowest: list[str]
    best_sold: list[str]
    worst_sold: list[str]
    sell: list[str]
    dimensions: dict[str, list[str]]
    series: dict[str, list[str]]
    values: dict[str, dict[str, list[str]]]
    metrics: dict[str, list[str]]
    refused: dict[str, list[str]]


@dataclass(frozen=True)
class MetricWord:
    """A metric is named."""

    name: str


@dataclass(frozen=True)
class Noun:
    """A dimension is named: store, month, product."""

    dimension: str


@dataclass(frozen=True)
class Series:
    """A dimension is asked for outright: daily, by store."""

    dimension: str


@dataclass(frozen=True)
class Kept:
    """A value of a dimension is named; label is how people write it."""

    dimension: str
    value: str
    label: str


@dataclass(frozen=True)
class Rank:
    """The first or the last of a ranking; is_of_sales when the words speak of selling without naming a metric."""

    descending: bool
    is_of_sales: bool = False


@dataclass(frozen=True)
class Mark:
    """A word that only has a meaning together with others: by, which, how_many, compared, sell, ..."""

    kind: str


@dataclass(frozen=True)
class Refusal:
    """A word that makes the whole question one we don't answer."""

    kind: str


@dataclass(frozen=True)
class Compared:
    """A comparison by the catalogue's own name."""

    name: str


Meaning: TypeAlias = MetricWord | Noun | Series | Kept | Rank | Mark | Refusal | Compared
Phrase: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class Known:
    """What the data hold: values as (dimension, value, label), and the first and last business date."""

    values: frozenset[tuple[str, str, str]]
    first_day: date
    last_day: date


@dataclass(frozen=True)
class Lexicon:
    """Phrases and their meanings; `longest` is the number of words of the longest one."""

    metrics: Mapping[str, Metric]
    phrases: Mapping[Phrase, tuple[Meaning, ...]]
    known: Known
    longest: int = field(default=0)


@cache
def vocabulary() -> Vocabulary:
    """The words of vocabulary.yaml."""
    return Vocabulary.model_validate(yaml.safe_load(VOCABULARY.read_text(encoding="utf-8")))


def build(metrics: Mapping[str, Metric], known: Known) -> Lexicon:
    """All phrases: a word of the grammar wins over a part of a name, a whole name over a part of another."""
    phrases: dict[Phrase, list[Meaning]] = {}
    for text, meaning in (*_grammar_words(), *_metric_words(metrics), *_value_words(known)):
        _add(phrases, phrase(text), meaning)
    whole = set(phrases)
    for words, meaning in _parts(known):
        if words not in whole:
            _add(phrases, words, meaning)
    frozen = {words: tuple(meanings) for words, meanings in phrases.items()}
    return Lexicon(metrics, frozen, known, max(map(len, frozen)))


def _add(phrases: dict[Phrase, list[Meaning]], words: Phrase, meaning: Meaning) -> None:
    meanings = phrases.setdefault(words, [])
    if words and meaning not in meanings:
        meanings.append(meaning)


def _grammar_words() -> Iterator[tuple[str, Meaning]]:
    said = vocabulary()
    for kind in ("fillers", "by", "which", "together", "how_many", "how_much", "compared", "now", "sell"):
        for text in getattr(said, kind):
            yield text, Mark(kind)
    for kind, rank in (
        ("highest", Rank(True)),
        ("lowest", Rank(False)),
        ("best_sold", Rank(True, is_of_sales=True)),
        ("worst_sold", Rank(False, is_of_sales=True)),
    ):
        for text in getattr(said, kind):
            yield text, rank
    for dimension, texts in said.dimensions.items():
        yield from ((text, Noun(dimension)) for text in texts)
    for dimension, texts in said.series.items():
        yield from ((text, Series(dimension)) for text in texts)
    for name in COMPARISONS:
        yield name.replace("-", " "), Compared(name)
    for kind, texts in said.refused.items():
        yield from ((text, Refusal(kind)) for text in texts)


def _metric_words(metrics: Mapping[str, Metric]) -> Iterator[tuple[str, Meaning]]:
    extra = vocabulary().metrics
    for name, metric in metrics.items():
        spoken = name.replace("_", " ")
        for text in (spoken, f"metric {spoken}", metric.question, *metric.other_names, *extra.get(name, [])):
            yield text, MetricWord(name)


def _value_words(known: Known) -> Iterator[tuple[str, Meaning]]:
    spoken = vocabulary().values
    for dimension, value, label in sorted(known.values):
        for text in (label, value.replace(":", " "), *spoken.get(dimension, {}).get(value, [])):
            words = phrase(text)
            # The channel "store" is a word of the grammar, too; the vocabulary has phrases for it.
            if words and " ".join(words) not in _reserved():
                yield text, Kept(dimension, value, label)


@cache
def _reserved() -> frozenset[str]:
    """Words of the grammar that no bare value may take."""
    said = vocabulary()
    texts = [text for noun in said.dimensions.values() for text in noun]
    texts += [*said.fillers, *said.by, *said.together, *said.how_many, *said.how_much, *said.now]
    return frozenset(" ".join(phrase(text)) for text in texts)


def _parts(known: Known) -> Iterator[tuple[Phrase, Meaning]]:
    """Parts of names people use alone: Centro of PanPan Centro, but not PanPan, which all stores share."""
    small = {word for text in vocabulary().fillers for word in phrase(text)}
    labels = {name: {phrase(label) for dimension, _, label in known.values if dimension == name} for name in PARTED}
    shared = {dimension: _in_all(texts) for dimension, texts in labels.items()}
    for dimension, value, label in sorted(known.values):
        if dimension not in PARTED:
            continue
        words = phrase(label)
        for part in _runs(words):
            text = " ".join(part)
            is_name = part[0] not in small and part[-1] not in small and not set(part) <= shared[dimension]
            if is_name and part != words and text not in _reserved() and len(text) >= SHORTEST_PART:
                yield part, Kept(dimension, value, label)


def _in_all(texts: Collection[Phrase]) -> set[str]:
    return set.intersection(*map(set, texts)) if len(texts) > 1 else set()


def _runs(words: Phrase) -> Iterator[Phrase]:
    for start in range(len(words)):
        for end in range(start + 1, len(words) + 1):
            yield words[start:end]
