"""
A reading said as a question again: the exact words that mean this reading and no other.
"""

from __future__ import annotations

from typing import Any

from panpan.ask.dates import Period
from panpan.ask.grammar import Reading
from panpan.ask.lexicon import Kept, Lexicon, MetricWord, vocabulary
from panpan.ask.words import phrase


def question_of(reading: Reading, lexicon: Lexicon) -> str:
    """The question that the grammar reads as exactly this."""
    parts = [f"{_ranked(reading)}{_metric(reading.metric, lexicon)}"]
    if reading.by:
        parts[0] += f" by {' and '.join(_noun(name) for name in reading.by)}"
    parts += [f"{_noun(name)} {_value(name, value, label, lexicon)}" for name, value, label in reading.where]
    if reading.period:
        parts.append(_period(reading.period))
    if reading.compare:
        parts.append(f"against {reading.compare.replace('-', ' ')}")
    return ", ".join(parts)


def _ranked(reading: Reading) -> str:
    if reading.rank is None:
        return ""
    return f"{'top' if reading.rank.descending else 'lowest'} {reading.rank.limit} "


def _metric(name: str, lexicon: Lexicon) -> str:
    spoken = name.replace("_", " ")
    return spoken if lexicon.phrases.get(phrase(spoken)) == (MetricWord(name),) else f"metric {spoken}"


def _noun(dimension: str) -> str:
    return vocabulary().dimensions[dimension][0]


def _value(dimension: str, value: str, label: str, lexicon: Lexicon) -> str:
    """Its name where only it has that name, else the value the data know it by."""
    named = [each for each in lexicon.phrases.get(phrase(label), ()) if isinstance(each, Kept)]
    same = {each.value for each in named if each.dimension == dimension}
    return label if same == {value} else value


def _period(period: Period) -> str:
    if period.unit == "all":
        return "all time"
    if period.first == period.last:
        return f"on {period.first}"
    return f"from {period.first} to {period.last}"


def spoken(reading: Reading, says: str | None) -> dict[str, Any]:
    """The reading as an object: in words, and part by part."""
    return {
        "says": says,
        "metric": reading.metric,
        "by": list(reading.by),
        "where": {name: value for name, value, _ in reading.where},
        "period": reading.query.period,
        "compare": reading.compare,
        "rank": {"limit": reading.rank.limit, "descending": reading.rank.descending} if reading.rank else None,
    }
