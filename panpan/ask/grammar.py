"""
The closed grammar: a question becomes readings, or a refusal that says why. Nothing is guessed.

Comes in: a question, the lexicon, what day it is. Goes out: exactly one reading (answered), several (asked back), or
none (refused). Every word must have been used: one word nobody knows refuses the whole question.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from difflib import get_close_matches

from panpan.ask import dates
from panpan.ask.dates import Period
from panpan.ask.lexicon import Compared, Kept, Lexicon, Mark, Meaning, MetricWord, Noun, Refusal
from panpan.ask.sentence import Before, Item, Kind, NotSo, Number, Sentence, gather
from panpan.ask.words import MOST_CHARACTERS, Word, split
from panpan.errors import UsageError
from transforms.compiler import Plan, Query, compile_query
from transforms.metrics import CURRENCY_UNIT, Metric
from transforms.periods import spelled

MOST_READINGS = 12
MOST_BRANCHES = 4000
RANKED_UNLESS_SAID = 10
LONGEST_RANKING = 50
SLIP = 0.8  # how alike a word and the one that was meant are, by difflib
UNCOUNTABLE = frozenset([CURRENCY_UNIT, "moment", "share"])
MEASURED = frozenset([CURRENCY_UNIT, "the unit of the product"])
SOLD_AS_MONEY, SOLD_AS_ITEMS, SOLD_AS_TICKETS = "revenue", "items", "tickets"

REASONS: dict[str, str] = {
    "cause": "Why something happened isn't in the data; figures can be compared, causes can't be read from them.",
    "prediction": "Questions about what will be aren't answered here; `panpan forecast sales` says what it expects, "
    "with its error.",
    "personal": "Questions about persons aren't answered here; customers are only ever counted.",
    "future": "These days have not happened yet.",
}


@dataclass(frozen=True)
class Ranking:
    """How many of the first (or last) rows."""

    limit: int
    descending: bool


@dataclass(frozen=True)
class Reading:
    """One thing a question may mean. where: (dimension, value, label); period None is everything known."""

    metric: str
    by: tuple[str, ...] = ()
    where: tuple[tuple[str, str, str], ...] = ()
    period: Period | None = None
    compare: str | None = None
    rank: Ranking | None = None

    @property
    def query(self) -> Query:
        """The reading as the compiler takes it."""
        period = spelled(self.period.first, self.period.last) if self.period and self.period.unit != "all" else "all"
        return Query(self.metric, self.by, {name: value for name, value, _ in self.where}, period, self.compare)


@dataclass(frozen=True)
class Understood:
    """Readings with their plans; one is an answer, several are asked back. reason: why there are several."""

    readings: tuple[tuple[Reading, Plan], ...]


@dataclass(frozen=True)
class Refused:
    """
    Why a question is not answered; `unknown` are the words nobody knows, `near` the nearest entries that are known,
    `corrected` is the question with known words in their place: only ever a suggestion.
    """

    kind: Kind
    reason: str
    unknown: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    corrected: str | None = None


def parse(question: str, lexicon: Lexicon, today: date) -> Understood | Refused:
    """
    Read a question.

    Today decides 'yesterday' and what the future is; the lexicon's days decide which May is meant.
    """
    words = split(question)
    if not words or len(question) > MOST_CHARACTERS:
        return Refused("empty", f"A question has between one word and {MOST_CHARACTERS} characters.")
    if refused := _refused_outright(words, lexicon):
        return refused
    calendar = dates.Calendar(today, lexicon.known.first_day, lexicon.known.last_day)
    walk = _Walk([word.plain for word in words], lexicon, calendar)
    readings: dict[Reading, Plan] = {}
    faults: list[NotSo] = []
    for items in walk.sentences():
        readings |= _readings_of(items, lexicon, calendar, faults)
    if readings:
        return Understood(tuple(readings.items())[:MOST_READINGS])
    if walk.unknown:
        return _unknown_words(words, walk.unknown, lexicon)
    fault = min(
        faults, key=_weight, default=NotSo("The words are known, but together they are no question.", "no_metric")
    )
    return Refused(fault.kind, fault.reason, metrics=(fault.metric,) if fault.metric else ())


def _weight(fault: NotSo) -> int:
    """The fault that says most comes first: a future period, then what a metric can't, then the rest."""
    order = {"future": 0, "not_possible": 1}
    return order.get(fault.kind, 2) + (0 if fault.metric else 1)


def _refused_outright(words: Sequence[Word], lexicon: Lexicon) -> Refused | None:
    """A word like 'why' decides, whatever else was said."""
    plain = [word.plain for word in words]
    for start in range(len(plain)):
        for meaning in _longest(plain, start, lexicon)[1]:
            if isinstance(meaning, Refusal):
                return Refused(meaning.kind, REASONS[meaning.kind])  # type: ignore[arg-type]  # kinds of the vocabulary
    return None


def _longest(words: Sequence[str], start: int, lexicon: Lexicon) -> tuple[int, tuple[Meaning, ...]]:
    for length in range(min(lexicon.longest, len(words) - start), 0, -1):
        if meanings := lexicon.phrases.get(tuple(words[start : start + length])):
            return length, meanings
    return 0, ()


class _Walk:
    """Every way the words can be cut into known phrases, the longest phrase first."""

    def __init__(self, words: list[str], lexicon: Lexicon, calendar: dates.Calendar) -> None:
        self.words, self.lexicon, self.calendar = words, lexicon, calendar
        self.unknown: set[int] = set()
        self.branches = 0

    def sentences(self) -> Iterator[list[Item]]:
        """Sentences without fillers; `unknown` afterwards holds the places no phrase covers."""
        yield from self._from(0, [])

    def _from(self, start: int, items: list[Item]) -> Iterator[list[Item]]:
        if start == len(self.words):
            self.branches += 1
            yield items
            return
        length, found = self._at(start, items)
        if not length:
            self.unknown.add(start)
            # Go on behind it, so that a refusal can name all unknown words at once; nothing is yielded.
            for _ in self._from(start + 1, items):
                break
            return
        for item in found:
            if self.branches < MOST_BRANCHES:
                is_filler = item == Mark("fillers")
                yield from self._from(start + length, items if is_filler else [*items, item])

    def _at(self, start: int, items: list[Item]) -> tuple[int, tuple[Item, ...]]:
        length, meanings = _longest(self.words, start, self.lexicon)
        if items and items[-1] == Mark("compared") and (before := dates.before_at(self.words, start)):
            taken, unit, is_last = before
            if taken >= length:
                return taken, (Before(unit, is_last),)
        period = dates.period_at(self.words, start, self.calendar)
        if period and period.length >= length:
            return period.length, (*period.options, *(meanings if period.length == length else ()))
        if not length and (number := _number(self.words[start])):
            return 1, (Number(number),)
        return length, meanings


def _number(word: str) -> int | None:
    if word in dates.NUMBERS:
        return dates.NUMBERS[word]
    return int(word) if word.isascii() and word.isdigit() and 0 < int(word[:6]) <= LONGEST_RANKING else None


def _readings_of(
    items: Sequence[Item], lexicon: Lexicon, calendar: dates.Calendar, faults: list[NotSo]
) -> dict[Reading, Plan]:
    """
    The readings of one sentence with their plans; what is wrong with it goes to the faults.

    All of what was named or nothing: of 'tickets and revenue', or 'yesterday and tomorrow', one alone is no answer.
    """
    readings: dict[Reading, Plan] = {}
    try:
        said = gather(items)
        metrics = _metrics_meant(said)
    except NotSo as fault:
        faults.append(fault)
        return readings
    for name in metrics:
        try:
            found = [
                _reading(said, lexicon.metrics[name], where, period, calendar)
                for where in _one_value_each(said.where)
                for period in _or_all(said.periods)
            ]
            readings |= {reading: _plan(reading, calendar.today) for reading in found}
        except NotSo as fault:
            faults.append(fault)
            if said.metrics:
                return {}
    return readings


def _metrics_meant(said: Sentence) -> list[str]:
    """The metrics named; where only selling is spoken of, those it may mean."""
    if said.metrics:
        return said.metrics
    is_sold = "sell" in said.marks or (said.rank is not None and said.rank.is_of_sales)
    is_of_products = {"product", "category"} & {*said.by, *(each.dimension for each in said.where)}
    if is_sold and "how_much" in said.marks:
        return [SOLD_AS_MONEY]
    if is_sold and "how_many" in said.marks:
        return [SOLD_AS_ITEMS] if is_of_products else [SOLD_AS_ITEMS, SOLD_AS_TICKETS]
    if said.rank:
        return [SOLD_AS_MONEY, SOLD_AS_ITEMS]
    if is_sold:
        return [SOLD_AS_MONEY, SOLD_AS_ITEMS, SOLD_AS_TICKETS]
    raise NotSo("No figure is named: revenue, tickets, stock on hand, ...", "no_metric")


def _or_all(periods: Sequence[Period]) -> Sequence[Period | None]:
    return periods or [None]


def _one_value_each(where: Sequence[Kept]) -> list[tuple[Kept, ...]]:
    """One value per dimension: of two stores each is a reading of its own, never their sum."""
    chosen: list[tuple[Kept, ...]] = [()]
    for dimension in dict.fromkeys(each.dimension for each in where):
        values = [each for each in where if each.dimension == dimension]
        chosen = [(*kept, value) for kept in chosen for value in values]
    return chosen


def _reading(
    said: Sentence, metric: Metric, where: tuple[Kept, ...], period: Period | None, calendar: dates.Calendar
) -> Reading:
    name = metric.name.replace("_", " ")
    if "how_many" in said.marks and metric.unit in UNCOUNTABLE:
        raise NotSo(f"{name} isn't a count; ask how much.", metric=metric.name)
    if "how_much" in said.marks and metric.unit not in MEASURED:
        raise NotSo(f"{name} is counted; ask how many.", metric=metric.name)
    if "sell" in said.marks and metric.unit not in (CURRENCY_UNIT, "items", "receipts"):
        raise NotSo(f"{name} has nothing to do with selling.", metric=metric.name)
    if "now" in said.marks and (period or all(reading.day_column for reading in metric.readings)):
        raise NotSo(f"{name} is counted over days; name a period.", metric=metric.name)
    if period and period.first > calendar.today:
        raise NotSo(REASONS["future"], "future", metric.name)
    rank = None
    if said.rank:
        rank = Ranking(said.limit or RANKED_UNLESS_SAID, said.rank.descending)
    return Reading(
        metric.name,
        tuple(said.by),
        tuple(sorted((each.dimension, each.value, each.label) for each in where)),
        replace(period, unit="days") if period and period.unit != "all" else period,
        _comparison(said, period, calendar),
        rank,
    )


def _comparison(said: Sentence, period: Period | None, calendar: dates.Calendar) -> str | None:
    if said.compare is None:
        return None
    if said.rank:
        raise NotSo("A ranking can't be compared; ask for the ranking of each period.")
    if period is None:
        raise NotSo("Say which period is to be compared, then with what: last week against the week before.")
    match said.compare:
        case Compared(name):
            found: str | None = name
        case Before(unit, is_last):
            if is_last and unit in ("week", "month", "quarter") and not _is_in_current(period, unit, calendar):
                raise NotSo(f"It isn't clear which {unit} 'last {unit}' is here: say 'the {unit} before'.")
            found = dates.comparison(period, unit)
        case Period() as other:
            found = dates.comparison_with(period, other)
    if found is None:
        raise NotSo(
            "These two periods aren't compared; ask for the period before or a year earlier, or for each alone."
        )
    return found


def _is_in_current(period: Period, unit: dates.Unit, calendar: dates.Calendar) -> bool:
    return period.last >= dates.current(unit, calendar.today).first


def _plan(reading: Reading, today: date) -> Plan:
    """The reading compiled. Errors: NotSo with what the compiler said it can't be."""
    try:
        return compile_query(reading.query, today)
    except UsageError as error:
        reason = ": ".join(text for text in (error.message, error.cause) if text)
        raise NotSo(f"{reason[:1].upper()}{reason[1:]}.", metric=reading.metric) from None


def _unknown_words(words: Sequence[Word], unknown: set[int], lexicon: Lexicon) -> Refused:
    said = tuple(dict.fromkeys(words[place].said for place in sorted(unknown)))
    entries = sorted({" ".join(key) for key, meanings in lexicon.phrases.items() if _is_entry(meanings)})
    near = [each for word in said for each in get_close_matches(word, entries, n=3, cutoff=0.7)]
    named = "the words" if len(said) > 1 else "the word"
    reason = f"Not understood: {named} {', '.join(repr(word) for word in said)}."
    metrics = [
        meaning.name
        for text in near
        for meaning in lexicon.phrases[tuple(text.split())]
        if isinstance(meaning, MetricWord)
    ]
    corrected = _corrected(words, unknown, lexicon)
    return Refused("unknown", reason, said, tuple(dict.fromkeys(near)), tuple(dict.fromkeys(metrics)), corrected)


def _corrected(words: Sequence[Word], unknown: set[int], lexicon: Lexicon) -> str | None:
    """The question without its slips of the keyboard; None where a word is like no known one."""
    known = sorted({text for key in lexicon.phrases for text in key} | dates.WORDS)
    meant = {place: get_close_matches(words[place].plain, known, n=1, cutoff=SLIP) for place in unknown}
    if not all(meant.values()):
        return None
    return " ".join(meant[place][0] if place in meant else word.said for place, word in enumerate(words))


def _is_entry(meanings: Sequence[Meaning]) -> bool:
    return any(isinstance(meaning, MetricWord | Kept | Noun) for meaning in meanings)
