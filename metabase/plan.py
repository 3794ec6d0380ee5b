"""
The differences between what a Metabase should be and what it is, told apart by who made them.

Comes in: wanted and found things of one kind. Goes out: `Difference`s; `Plan` is all of them. `Memory` is a file in
the home that remembers what was last applied: a thing that differs from that was changed by hand. Losing the file
loses only this distinction, and the database password is sent once more.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import tempfile
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import SecretStr

from metabase.actual import Actual, Row
from metabase.desired import Content, Desired, Wanted
from metabase.parts import parted, told

Action = Literal["add", "change", "remove"]
LONGEST_VALUE = 60
NOTHING: dict[str, Any] = {"applied": {}, "secrets": {}, "mails": [], "not_synced": []}


@dataclass(frozen=True)
class Found:
    """One thing as it is: its id, its content in our names, Metabase's own row."""

    key: str
    title: str
    id: int | None
    content: Content
    row: Row = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """One thing to be done. `by_hand`: the files did not change, the server did."""

    action: Action
    key: str
    title: str
    fields: tuple[str, ...] = ()
    by_hand: bool = False
    wanted: Wanted | None = None
    found: Found | None = None

    @property
    def content(self) -> tuple[str, ...]:
        """What is in a thing that comes or goes."""
        thing = self.wanted or self.found
        return told(self.key, thing.content) if thing and self.action != "change" else ()

    def sentence(self) -> str:
        """For people."""
        return self._headline() + (f": {'; '.join(self.fields)}" if self.fields else "")

    def lines(self) -> list[str]:
        """For people who review: the parts below, one a line, unless there is only one change."""
        if len(self.fields) == 1:
            return [self.sentence()]
        return [self._headline(), *(f"    {each}" for each in (*self.fields, *self.content))]

    def facts(self) -> dict[str, Any]:
        """For programs."""
        facts = {"key": self.key, "title": self.title, "action": self.action, "fields": list(self.fields)}
        return {**facts, "content": list(self.content)}

    def _headline(self) -> str:
        verb: str = self.action
        if self.by_hand:
            verb = {"add": "bring back", "change": "put right", "remove": "take away"}[self.action]
        return f"{verb} {self.title}"


@dataclass
class Plan:
    """All differences, in the order they are removed, and what no program should decide."""

    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    writes: int = 0

    def by_files(self, action: Action) -> list[Difference]:
        return [each for each in self.differences if each.action == action and not each.by_hand]

    @property
    def drift(self) -> list[Difference]:
        return [each for each in self.differences if each.by_hand]

    def facts(self) -> dict[str, Any]:
        """The object `--json` prints."""
        lists = {"adds": self.by_files("add"), "changes": self.by_files("change"), "removals": self.by_files("remove")}
        told = {name: [each.facts() for each in differences] for name, differences in lists.items()}
        return {**told, "drift": [each.facts() for each in self.drift], "writes": self.writes, "notes": self.notes}


class Memory:
    """What was applied last, in one private file, replaced as a whole."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._kept: dict[str, Any] = deepcopy(NOTHING)
        if file.exists():
            try:
                self._kept |= json.loads(file.read_text(encoding="utf-8"))
            except ValueError:
                file.replace(file.with_suffix(".broken"))

    @property
    def applied(self) -> dict[str, str]:
        """Fingerprint of each thing as last applied."""
        applied: dict[str, str] = self._kept["applied"]
        return applied

    @property
    def mails(self) -> list[Row]:
        """People's own alerts that a card update was about to delete."""
        mails: list[Row] = self._kept["mails"]
        return mails

    def keep_mails(self, rows: list[Row]) -> None:
        self._kept["mails"] = rows
        self.save()

    @property
    def not_synced(self) -> list[str]:
        """Tables and columns of ours that Metabase did not find when it was asked to look."""
        names: list[str] = self._kept["not_synced"]
        return names

    def keep_not_synced(self, names: list[str]) -> None:
        if names != self.not_synced:
            self._kept["not_synced"] = names
            self.save()

    def start_anew(self) -> None:
        """Another server, or an empty one: nothing was ever applied to it."""
        self._kept |= deepcopy(NOTHING)

    def has_secret(self, name: str, secret: SecretStr) -> bool:
        """Whether this secret was the last one sent. Metabase never shows one, so only a salted hash can tell."""
        salt, _, known = self._kept["secrets"].get(name, "").partition(":")
        return bool(known) and secrets.compare_digest(known, _hash(salt, secret))

    def keep_secret(self, name: str, secret: SecretStr) -> None:
        salt = secrets.token_hex(16)
        self._kept["secrets"][name] = f"{salt}:{_hash(salt, secret)}"
        self.save()

    def save(self) -> None:
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.file.parent, prefix=f".{self.file.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(self._kept, stream, indent=1, sort_keys=True)
        Path(name).replace(self.file)


@dataclass
class World:
    """What the kinds work with: the server, what it should be, what was applied, sentences for the reader."""

    actual: Actual
    desired: Desired
    memory: Memory
    notes: list[str] = field(default_factory=list)

    def note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)


class Kind(Protocol):
    """One kind of thing: how it should be, how it is, and how the one becomes the other."""

    name: str
    changes: tuple[str, ...]  # what was read of the server that one of its writes makes old
    is_marked: bool  # whether its things name themselves, so that only our files can have taken one away

    def wanted(self, world: World) -> dict[str, Wanted]: ...

    def found(self, world: World) -> dict[str, Found]: ...

    def write(self, world: World, wanted: Wanted, found: Found | None) -> None: ...

    def remove(self, world: World, found: Found) -> None: ...


def compare(kind: Kind, world: World) -> list[Difference]:
    """What must be done for one kind: removals last, else in the order wanted."""
    wanted, found, applied = kind.wanted(world), kind.found(world), world.memory.applied
    differences = []
    for key, thing in wanted.items():
        there = found.get(key)
        if there is None:
            differences.append(Difference("add", key, thing.title, (), key in applied, thing, None))
        elif there.content != thing.content:
            by_hand = key in applied and fingerprint(there.content) != applied[key]
            fields = changes(key, there.content, thing.content)
            differences.append(Difference("change", key, thing.title, fields, by_hand, thing, there))
    for key, there in found.items():
        if key not in wanted:
            by_hand = key not in applied and not kind.is_marked
            differences.append(Difference("remove", key, there.title, (), by_hand, None, there))
    return differences


def remember(kind: Kind, world: World) -> None:
    """Keep the fingerprints of everything of a kind that is as it should be; forget what is gone."""
    wanted, found = kind.wanted(world), kind.found(world)
    before = dict(world.memory.applied)
    for key, thing in wanted.items():
        if key in found and found[key].content == thing.content:
            world.memory.applied[key] = fingerprint(thing.content)
    prefix = f"{kind.name}/"
    for key in [k for k in world.memory.applied if k.startswith(prefix) and k not in wanted and k not in found]:
        del world.memory.applied[key]
    if world.memory.applied != before:
        world.memory.save()


def fingerprint(content: Content) -> str:
    """A short name for a content; equal contents have equal ones. Nobody can change a secret by hand unseen."""
    seen = {name: value for name, value in content.items() if name != "secret"}
    return hashlib.sha256(json.dumps(seen, sort_keys=True, default=str).encode()).hexdigest()[:20]


def changes(key: str, before: Content, after: Content) -> tuple[str, ...]:
    """Which parts of a thing differ; where none has a name, as with another order of tabs, which fields do."""
    return changed_fields(parted(key, before), parted(key, after)) or changed_fields(before, after)


def changed_fields(before: Content, after: Content) -> tuple[str, ...]:
    """Which fields differ, of a map of parts which of these; short values are shown."""
    fields: list[str] = []
    for name in [*after, *(name for name in before if name not in after)]:
        old, new = before.get(name), after.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            fields += [f"{name} {each}" for each in _changed_parts(old, new)]
        elif old != new:
            fields.append(_field(name, old, new))
    return tuple(fields)


def _changed_parts(before: Content, after: Content) -> list[str]:
    gone = [f"{name} removed" for name in before if name not in after]
    new = [f"{name} added" for name in after if name not in before]
    both = [name for name in after if name in before]
    return [*gone, *new, *changed_fields({n: before[n] for n in both}, {n: after[n] for n in both})]


def _field(name: str, before: Any, after: Any) -> str:
    old, new = _short(before), _short(after)
    return f"{name} ({old} -> {new})" if old is not None and new is not None else name


def _short(value: Any) -> str | None:
    if isinstance(value, dict | list):
        return None
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else None


def _hash(salt: str, secret: SecretStr) -> str:
    return hashlib.scrypt(secret.get_secret_value().encode(), salt=salt.encode(), n=2**12, r=8, p=1).hex()
