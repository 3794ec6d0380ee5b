"""
The known words of a sentence put together: which metric, split by what, of which values and days.

Comes in: what each phrase may mean, in order and without fillers. Goes out: one Sentence, or NotSo with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from panpan.ask import dates
from panpan.ask.dates import Period
from panpan.ask.lexicon import Compared, Kept, Mark, Meaning, MetricWord, Noun, Rank, Series

Kind = Literal[
    "empty", "unknown", "no_metric", "not_possible", "future", "no_data", "cause", "prediction", "personal", "ambiguous"
]


@dataclass(frozen=True)
class Number:
    """A number that stands by itself: five products."""

    value: int


@dataclass(frozen=True)
class Before:
    """'the year before' after a word of comparison; is_last when it was said as 'last year'."""

    unit: dates.Unit
    is_last: bool


Item: TypeAlias = Meaning | Period | Number | Before


class NotSo(Exception):  # no error: one way of reading among others
    """This way of reading the words makes no sense; the text says why."""

    def __init__(self, reason: str, kind: Kind = "not_possible", metric: str = "") -> None:
        super().__init__(reason)
        self.reason, self.kind, self.metric = reason, kind, metric


@dataclass
class Sentence:
    """What the items of a sentence say, put together."""

    metrics: list[str] = field(default_factory=list)
    by: list[str] = field(default_factory=list)
    where: list[Kept] = field(default_factory=list)
    periods: list[Period] = field(default_factory=list)
    compare: Period | Before | Compared | None = None
    rank: Rank | None = None
    limit: int | None = None
    marks: set[str] = field(default_factory=set)


def gather(items: Sequence[Item]) -> Sentence:
    """Each item into its place. Errors: NotSo when one has none."""
    said = Sentence()
    has_rank = any(isinstance(item, Rank) for item in items)
    for place, item in enumerate(items):
        before, after = _item(items, place - 1), _item(items, place + 1)
        if before == Mark("compared"):
            _compare(said, item)
        elif isinstance(item, Noun):
            _noun(said, item.dimension, items, place, has_rank)
        elif isinstance(item, Number):
            _number(said, item.value, before, after, has_rank)
        elif isinstance(item, Mark):
            _mark(said, item.kind, after, has_rank)
        elif isinstance(item, Kept) and item.dimension == "customer_kind" and before == Mark("together"):
            _joined(said, item, items, place)
        else:
            _named(said, item, before)
    said.by = list(dict.fromkeys(said.by))
    for many, what in ((said.metrics, "figures"), (said.periods, "periods")):
        if len(many) > 1 and "together" not in said.marks:
            raise NotSo(f"Two {what} stand side by side; ask for one of them, or say 'and' between them.")
    if said.rank and len(said.by) != 1:
        raise NotSo("A ranking is of one thing: of stores, of products, of days.")
    return said


def _joined(said: Sentence, item: Kept, items: Sequence[Item], place: int) -> None:
    """'revenue and new customers' are two figures, no filter; 'of returning and new customers' are two filters."""
    other = _item(items, place - 2)
    if not isinstance(other, Kept) or other.dimension != item.dimension:
        raise NotSo(f"After 'and', {item.label} is a figure of its own.")
    said.where = list(dict.fromkeys([*said.where, item]))


def _named(said: Sentence, item: Item, before: Item | None) -> None:
    """What stands for itself; said twice it is said once."""
    match item:
        case MetricWord(name):
            said.metrics = list(dict.fromkeys([*said.metrics, name]))
        case Kept():
            said.where = list(dict.fromkeys([*said.where, item]))
        case Period():
            said.periods = list(dict.fromkeys([*said.periods, item]))
        case Series(dimension):
            said.by.append(dimension)
        case Rank(_, is_of_sales):
            if said.rank:
                raise NotSo("Two rankings at once can't be answered.")
            said.rank = item
            if is_of_sales and before == Mark("which"):  # 'what sells best': of things sold
                said.by.append("product")
        case _:
            raise NotSo("A comparison needs a word like 'against' before it.")


def _compare(said: Sentence, item: Item) -> None:
    if said.compare or not isinstance(item, Period | Before | Compared):
        raise NotSo("After a word of comparison comes one period: the week before, last year, May 2026.")
    said.compare = item


def _number(said: Sentence, value: int, before: Item | None, after: Item | None, has_rank: bool) -> None:
    belongs = isinstance(before, Rank) or isinstance(after, Noun | Rank)
    if not belongs or said.limit or not has_rank:
        raise NotSo(f"It isn't clear what the number {value} is for.")
    said.limit = value


def _mark(said: Sentence, kind: str, after: Item | None, has_rank: bool) -> None:
    if kind == "by" and not isinstance(after, Noun | Series) and not (isinstance(after, MetricWord) and has_rank):
        raise NotSo("After 'by' comes what to split by: store, product, month, ...")
    if kind == "compared" and after is None:
        raise NotSo("After a word of comparison comes one period: the week before, last year, May 2026.")
    said.marks.add(kind)


def _noun(said: Sentence, dimension: str, items: Sequence[Item], place: int, has_rank: bool) -> None:
    before, after = _item(items, place - 1), _item(items, place + 1)
    if any(isinstance(each, Kept) and each.dimension == dimension for each in (before, after)):
        return  # 'the Centro store', 'category bread': the noun only says what kind of name it is
    is_split = before in (Mark("by"), Mark("which"))
    is_next = before == Mark("together") and isinstance(_item(items, place - 2), Noun | Series)
    is_ranked = has_rank and (isinstance(before, Rank | Number) or isinstance(after, Rank | Number))
    if not (is_split or is_next or is_ranked):
        raise NotSo(f"It isn't clear what {dimension} is for: say 'by {dimension}' or name one.")
    said.by.append(dimension)


def _item(items: Sequence[Item], place: int) -> Item | None:
    return items[place] if 0 <= place < len(items) else None
