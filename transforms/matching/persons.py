"""
From records, pairs that agree in something, and decisions: who is one person, and which pairs were refused.

Pure: the same records give the same persons, in whatever order they came. The surest pairs are joined first; a pair
is judged by all that is known of both sides by then, so that a third record never joins two that contradict.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from transforms.matching.rules import DECISION, NAME, OWN_RECORD, PENALTIES, RULES, THRESHOLD, VERSION


class Record(NamedTuple):
    """A customer as one source names it."""

    source: str
    source_customer_id: str

    def __str__(self) -> str:
        return f"{self.source}:{self.source_customer_id}"


@dataclass(frozen=True)
class Known:
    """What is known of a record: its age (lowest is oldest) and its keys by what they tell."""

    age: tuple[int, int]
    values: Mapping[str, frozenset[str]]


class Pair(NamedTuple):
    """Two records that agree in what a rule compares; `is_sure`: nothing but a decision speaks against it."""

    left: Record
    right: Record
    rule: str
    is_sure: bool = False


class Decided(NamedTuple):
    """A decision: the record is the same person as the others, or it is none of them."""

    decision_id: int
    is_same: bool
    record: Record
    others: tuple[Record, ...]


class Assignment(NamedTuple):
    """A record's person, named by the person's oldest record, and why."""

    record: Record
    person: Record
    rule: str
    score: Decimal
    evidence: dict[str, Any]


class Refusal(NamedTuple):
    """A pair that agrees in something and is not joined all the same."""

    left: Record
    right: Record
    rule: str
    score: Decimal
    reason: str


@dataclass
class _Link:
    """All that speaks for a pair; the surest rule is its rule."""

    left: Record
    right: Record
    rules: list[str] = field(default_factory=list)
    is_sure: bool = False

    @property
    def rule(self) -> str:
        return self.rules[0]

    @property
    def order(self) -> tuple[Any, ...]:
        # A decision comes first, then what is sure, then the higher score.
        return (
            self.rule != DECISION,
            not self.is_sure,
            -RULES[self.rule].score,
            _place(self.rule),
            self.left,
            self.right,
        )


def _place(rule: str) -> int:
    return list(RULES).index(rule)


@dataclass
class _Person:
    members: set[Record]
    values: dict[str, set[str]]


@dataclass(frozen=True)
class _Verdict:
    score: Decimal
    conflicts: tuple[str, ...]
    decision_id: int | None = None
    is_joined: bool = False

    @property
    def reason(self) -> str:
        if self.decision_id is not None:
            return f"decision {self.decision_id} keeps them apart"
        return f"different {' and '.join(self.conflicts)}"


def find_persons(
    records: Mapping[Record, Known], pairs: Iterable[Pair], decisions: Sequence[Decided]
) -> tuple[list[Assignment], list[Refusal]]:
    """
    One assignment per record, and the refused pairs, both in the order of the records.

    A person is named by its oldest record, so a person that grows keeps its name, and of two that become one the
    older name stays. Pairs and decisions about records that are not given are left out.
    """
    links = _links(records, pairs, decisions)
    crowd = _Crowd(records, decisions)
    joined: list[tuple[_Link, _Verdict]] = []
    waiting, refused = links, [(link, _Verdict(Decimal(0), ())) for link in links]
    # A person that grew may now agree with what it contradicted before, so the refused are asked again.
    while waiting:
        refused = []
        before = len(joined)
        for link in waiting:
            if crowd.is_one(link):
                continue
            verdict = crowd.judge(link)
            if verdict.is_joined:
                crowd.join(link)
                joined.append((link, verdict))
            else:
                refused.append((link, verdict))
        waiting = [link for link, _ in refused] if len(joined) > before else []
    refusals = [
        Refusal(link.left, link.right, link.rule, max(verdict.score, Decimal(0)), verdict.reason)
        for link, verdict in refused
        if not crowd.is_one(link)
    ]
    return list(_assignments(records, crowd, joined)), sorted(refusals)


def _links(records: Mapping[Record, Known], pairs: Iterable[Pair], decisions: Sequence[Decided]) -> list[_Link]:
    found: dict[tuple[Record, Record], _Link] = {}
    decided = (
        Pair(decision.record, other, DECISION, is_sure=True)
        for decision in decisions
        if decision.is_same
        for other in decision.others
    )
    for pair in (*decided, *pairs):
        left, right = sorted((pair.left, pair.right))
        if left == right or left not in records or right not in records:
            continue
        link = found.setdefault((left, right), _Link(left, right))
        link.is_sure = link.is_sure or pair.is_sure or RULES[pair.rule].is_sure
        if pair.rule not in link.rules:
            link.rules.append(pair.rule)
    for link in found.values():
        link.rules.sort(key=lambda rule: (-RULES[rule].score, _place(rule)))
    return sorted(found.values(), key=lambda link: link.order)


class _Crowd:
    """Records on their way to persons: at first each is its own."""

    def __init__(self, records: Mapping[Record, Known], decisions: Sequence[Decided]) -> None:
        self._person = {
            record: _Person({record}, {name: set(keys) for name, keys in known.values.items()})
            for record, known in records.items()
        }
        self._apart: dict[Record, dict[Record, int]] = defaultdict(dict)
        for decision in decisions:
            if not decision.is_same:
                for other in decision.others:
                    self._apart[decision.record][other] = decision.decision_id
                    self._apart[other][decision.record] = decision.decision_id

    def is_one(self, link: _Link) -> bool:
        return self._person[link.left] is self._person[link.right]

    def members(self, record: Record) -> set[Record]:
        return self._person[record].members

    def judge(self, link: _Link) -> _Verdict:
        left, right = self._person[link.left], self._person[link.right]
        score = RULES[link.rule].score
        decision_id = self._decision_between(left, right)
        if decision_id is not None:
            return _Verdict(Decimal(0), (), decision_id)
        conflicts = tuple(name for name in PENALTIES if _differ(name, left.values, right.values))
        if link.is_sure:
            return _Verdict(score, conflicts, is_joined=True)
        score -= sum((PENALTIES[name] for name in conflicts), Decimal(0))
        return _Verdict(score, conflicts, is_joined=score >= THRESHOLD)

    def join(self, link: _Link) -> None:
        small, large = sorted(
            (self._person[link.left], self._person[link.right]), key=lambda person: len(person.members)
        )
        large.members |= small.members
        for name, keys in small.values.items():
            large.values.setdefault(name, set()).update(keys)
        for record in small.members:
            self._person[record] = large

    def _decision_between(self, left: _Person, right: _Person) -> int | None:
        if not self._apart:
            return None
        few, many = sorted((left, right), key=lambda person: len(person.members))
        found = [
            number
            for record in few.members
            for other, number in self._apart.get(record, {}).items()
            if other in many.members
        ]
        return max(found, default=None)


def _differ(name: str, left: Mapping[str, set[str]], right: Mapping[str, set[str]]) -> bool:
    """Both sides have such values and none agrees. Of names the shorter may be part of the longer: Ana, Ana Ruiz."""
    ours, theirs = left.get(name), right.get(name)
    if not ours or not theirs or ours & theirs:
        return False
    if name != NAME:
        return True
    return not any(
        set(mine.split()) <= set(yours.split()) or set(yours.split()) <= set(mine.split())
        for mine in ours
        for yours in theirs
    )


def _assignments(
    records: Mapping[Record, Known], crowd: _Crowd, joined: Sequence[tuple[_Link, _Verdict]]
) -> Iterable[Assignment]:
    """Each record with the pair that ties it to its person's oldest record, over others where it must be."""
    ties: dict[Record, list[tuple[Record, _Link, _Verdict]]] = defaultdict(list)
    for link, verdict in joined:
        ties[link.left].append((link.right, link, verdict))
        ties[link.right].append((link.left, link, verdict))
    for record in sorted(records):
        oldest = min(crowd.members(record), key=lambda member: (records[member].age, member))
        if record != oldest:
            continue
        yield Assignment(record, record, OWN_RECORD, Decimal("1.000"), {})
        seen, queue = {record}, deque([record])
        while queue:
            reached = queue.popleft()
            for other, link, verdict in ties[reached]:
                if other not in seen:
                    seen.add(other)
                    queue.append(other)
                    yield Assignment(other, oldest, link.rule, verdict.score, _evidence(reached, link, verdict))


def _evidence(reached: Record, link: _Link, verdict: _Verdict) -> dict[str, Any]:
    return {
        "with": str(reached),
        "agree": link.rules,
        "differ": list(verdict.conflicts),
        "rules_version": VERSION,
    }
