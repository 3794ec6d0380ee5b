"""
What a thing is made of, part by part and by names: so a plan says what will be there, and which part of it changes.

Comes in: a key and its content, as wanted or as found. Goes out: texts, for people and for programs.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from textwrap import shorten
from typing import Any

from db.pii import masked
from metabase.desired import Content

LONGEST_NAME = 50
# What a reviewer wants to know of a new thing; of the kinds that are not named, everything.
TOLD: Mapping[str, tuple[str, ...]] = {
    "setting": ("value", "email-smtp-host", "email-smtp-port", "email-smtp-security"),
    "database": ("host", "port", "dbname", "user", "schema-filters-patterns"),
    "collection": ("parent",),
    "question": ("display", "unit", "metric", "reads", "collection"),
    "dashboard": ("collection", "tab", "card", "filter"),
    "user": (),
    "alert": ("question", "condition", "schedule", "recipient"),
    "report": ("dashboard", "every", "weekday", "hour", "recipient"),
    "description": ("column",),
}
# A card's description says these, and is all that is left of a question whose file is gone.
SAID = {
    "unit": re.compile(r"Unit: (.+?)\. System of record: "),
    "metric": re.compile(r"^Metric (.+?)\. Plan of ", re.MULTILINE),
    "reads": re.compile(r"^Reads (.+)\.$", re.MULTILINE),
}


def told(key: str, content: Content) -> tuple[str, ...]:
    """What is in a thing that is added or removed: its values in a line, then a line for each kind of part."""
    parts = parted(key, content)
    shown = {name: parts[name] for name in TOLD.get(_kind(key), parts) if parts.get(name) not in (None, {})}
    values = "; ".join(f"{name}: {_text(value)}" for name, value in shown.items() if not isinstance(value, dict))
    lists = [f"{name}s: {_names(value)}" for name, value in shown.items() if isinstance(value, dict)]
    return (*([values] if values else []), *lists)


def parted(key: str, content: Content) -> Content:
    """The content with each tab, card, filter, column and recipient by its name. Addresses of people are masked."""
    return PARTED.get(_kind(key), dict)(content)


def _question(content: Content) -> Content:
    said = {name: found[1] for name, text in SAID.items() if (found := text.search(content["description"] or ""))}
    return content | said


def _dashboard(content: Content) -> Content:
    tabs, cards = content["tabs"], content["cards"]
    counts = Counter(card["tab"] for card in cards)
    in_tabs = sorted(cards, key=lambda card: tabs.index(card["tab"]) if card["tab"] in tabs else -1)
    rest = {name: value for name, value in content.items() if name not in ("tabs", "cards", "parameters")}
    return rest | {
        "tab": {tab: f"{counts[tab]} card{'s' * (counts[tab] != 1)}" for tab in tabs},
        "card": _named((_card_name(card["shows"]), _card(card)) for card in in_tabs),
        "filter": _named((each.get("slug") or each["id"], each) for each in content["parameters"]),
    }


def _card(card: Content) -> Content:
    """A place on the grid; its parts are called as their change is."""
    grid = ("tab", "row", "col", "size_x", "size_y", "shows", "mappings")
    tab = [f"tab {card['tab']}"] if card["tab"] else []
    return {name: value for name, value in card.items() if name not in grid} | {
        "moved": ", ".join([*tab, f"row {card['row']}", f"column {card['col']}"]),
        "resized": f"{card['size_x']} x {card['size_y']}",
        "filters": ", ".join(_mapping(*each) for each in card["mappings"]),
    }


def _card_name(shows: str) -> str:
    kind, colon, words = shows.partition(": ")
    return f'{kind} "{shorten(words, LONGEST_NAME, placeholder="...")}"' if colon else shows.removeprefix("question/")


def _mapping(parameter: str, tag: str) -> str:
    """A filter and where it leads, where that is called otherwise."""
    name = parameter.removeprefix("p_")
    return name if name == tag else f"{name} to {tag}"


def _mail(content: Content) -> Content:
    rest = {name: value for name, value in content.items() if name != "to"}
    return rest | {"recipient": _named((_recipient(each), {}) for each in content["to"])}


def _report(content: Content) -> Content:
    rest = {name: value for name, value in _mail(content).items() if name != "cards"}
    return rest | {"card": _named((_card_name(each), {}) for each in content["cards"])}


def _recipient(word: str) -> str:
    return str(masked(word, "email")) if "@" in word else word


def _description(content: Content) -> Content:
    columns = {name: {"says": text} for name, text in content["columns"].items()}
    return {"description": content["description"], "column": columns}


PARTED: Mapping[str, Callable[[Content], Content]] = {
    "question": _question,
    "dashboard": _dashboard,
    "alert": _mail,
    "report": _report,
    "description": _description,
}


def _named(things: Iterable[tuple[str, Content]]) -> Content:
    """Things by name; a name that comes again gets a number."""
    counts, named = Counter[str](), Content()
    for name, thing in things:
        counts[name] += 1
        named[name if counts[name] == 1 else f"{name} ({counts[name]})"] = thing
    return named


def _names(parts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} ({value})" if isinstance(value, str) else name for name, value in parts.items())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _kind(key: str) -> str:
    return key.partition("/")[0]
