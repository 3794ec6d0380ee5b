"""
A question as words: letters folded, endings of plurals cut, nothing dropped that could carry a meaning.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

# Signs that carry no meaning in a question. All others (%, <, =, *, ...) stay words, which no grammar knows.
SILENT = frozenset('?¿!¡,.;:"()«»“”…')
_JOINED = re.compile(r"(?<=\w)['\u2019](?=\w)")
_HYPHEN = re.compile(r"(?<=[^\W\d])-(?=[^\W\d])")
_RANGE = re.compile(r"(?<=\d)\.\.(?=\d)")
_TOKEN = re.compile(r"\d{4}-(?:\d{2}(?:-\d{2})?|q[1-4])(?!\w)|\w+|[^\w\s]")
# Every Monday is not the last one: a plural of these is no word of the grammar.
EVERY_WEEK = (
    "mondays",
    "tuesdays",
    "wednesdays",
    "thursdays",
    "fridays",
    "saturdays",
    "sundays",
    "sabados",
    "domingos",
)
# Their last letter is no plural: cutting it would make another word of them.
KEPT = frozenset(["cuantos", "cuantas", "las", "los", "this", "mas", "less", "gross", "dos", "tres", *EVERY_WEEK])
MOST_CHARACTERS = 400


@dataclass(frozen=True)
class Word:
    """One word: as it was asked, and as it is compared."""

    said: str
    plain: str


def split(question: str) -> list[Word]:
    """The words of a question, in order; signs without meaning are left out."""
    joined = _HYPHEN.sub(" ", _JOINED.sub("", _RANGE.sub(" to ", question.replace("_", " "))))
    return [Word(found, plain(found)) for found in _TOKEN.findall(fold(joined)) if found not in SILENT]


def phrase(text: str) -> tuple[str, ...]:
    """A text as the words it is compared by."""
    return tuple(word.plain for word in split(text))


def fold(text: str) -> str:
    """Without accents, in small letters; ñ is n."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in apart if not unicodedata.combining(sign))


def plain(word: str) -> str:
    """A folded word without the ending of its plural: croissants and croissant are one word."""
    if word in KEPT or len(word) <= 3 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    return word[:-2] if word.endswith("iones") else word[:-1]
