"""
Filters in question files, in Metabase's own notation, made ready for psycopg2.

`{{source}}` is a value; `[[and source = {{source}}]]` is left out unless every value in it was given.
Metabase takes the files as they are; `compile_sql` turns the same text into bound parameters. No value ever
enters the text.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, Literal

from panpan.errors import ContractError, UsageError

# What may stand between {{ }}, with Metabase's type of template tag.
KNOWN: dict[str, Literal["text", "date"]] = {
    "source": "text",
    "currency": "text",
    "date_from": "date",
    "date_to": "date",
}
TITLES = {"source": "Source", "currency": "Currency", "date_from": "From", "date_to": "To"}
LONGEST_VALUE = 200

TAG = re.compile(r"\{\{\s*(\w+)\s*\}\}")
OPTIONAL = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
# Comments, texts and quoted names: nothing in them is code.
NOT_CODE = re.compile(r"--[^\n]*|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
TAG_ID_SPACE = uuid.UUID("6f0b5a1c-31b1-4c7a-8a3e-0d9d2d1e35b1")


@dataclass(frozen=True)
class Filters:
    """What a reader asked for; None is "not asked". Errors: UsageError, in words fit for a page."""

    source: str | None = None
    currency: str | None = None
    date_from: date | None = None
    date_to: date | None = None

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Filters:
        """Read the filters of a web address; an empty value counts as not given."""
        read = {"text": _read_text, "date": _read_date}
        given = {
            name: read[kind](name, query[name].strip()) if query.get(name, "").strip() else None
            for name, kind in KNOWN.items()
        }
        filters = cls(**given)  # type: ignore[arg-type]  # each name has its own type, which KNOWN tells
        if filters.date_from and filters.date_to and filters.date_from > filters.date_to:
            raise UsageError(
                f"the period ends ({filters.date_to}) before it begins ({filters.date_from})",
                next="swap the two dates",
            )
        return filters

    def given(self) -> dict[str, Any]:
        """The filters that were asked for."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}


def compile_sql(sql: str, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """
    The statement for psycopg2 and its parameters.

    A clause in [[ ]] stays only when all its values are given (and not None); unused values are left out.
    Errors: UsageError when a value outside [[ ]] is missing; ContractError when the notation is broken.
    """
    check_notation(sql)
    values = {name: value for name, value in given.items() if value is not None}
    kept = OPTIONAL.sub(lambda m: m[1] if all(name in values for name in TAG.findall(m[1])) else "", sql)
    used = TAG.findall(kept)
    for name in used:
        if name not in values:
            raise UsageError(f"filter {name!r} has no value", next=f"give {TITLES[name]}")
    text = TAG.sub(lambda m: f"%({m[1]})s", kept.replace("%", "%%"))
    return text, {name: values[name] for name in used}


def check_notation(sql: str) -> None:
    """Refuse unknown names, clauses that are nested or not closed, and values inside texts or comments."""
    code = NOT_CODE.sub(" ", sql)
    if len(TAG.findall(code)) != len(TAG.findall(sql)):
        raise ContractError("a filter stands inside a text or a comment, where it would not be a parameter")
    for name in TAG.findall(code):
        if name not in KNOWN:
            raise ContractError(f"unknown filter {name!r}", cause=f"known are {', '.join(KNOWN)}")
    for clause in OPTIONAL.findall(code):
        if not TAG.search(clause) or "[[" in clause:
            raise ContractError(f"optional clause without a filter, or within another: {clause.strip()[:60]!r}")
    rest = TAG.sub("", OPTIONAL.sub("", code))
    if any(mark in rest for mark in ("[[", "]]", "{{", "}}")):
        raise ContractError("a bracket of the filter notation is not closed")


def tag_names(sql: str) -> list[str]:
    """The filters a question understands, each once, in the order they appear."""
    return list(dict.fromkeys(TAG.findall(NOT_CODE.sub(" ", sql))))


def template_tags(question_name: str, sql: str) -> dict[str, dict[str, Any]]:
    """The `template-tags` of a Metabase card; ids follow from the names, so a second run finds them equal."""
    return {
        name: {
            "id": str(uuid.uuid5(TAG_ID_SPACE, f"{question_name}/{name}")),
            "name": name,
            "display-name": TITLES[name],
            "type": KNOWN[name],
            "required": False,
        }
        for name in tag_names(sql)
    }


def _read_text(name: str, text: str) -> str:
    if len(text) > LONGEST_VALUE or not text.isprintable():
        raise UsageError(f"{TITLES[name]} is not a name we could have shown", next="choose one from the list")
    return text


def _read_date(name: str, text: str) -> date:
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{TITLES[name]} is {text[:40]!r}, which is not a date", next="write it like 2026-05-31"
        ) from None
