"""
Texts that are numbers: decimal mark, thousands mark, currency sign, negatives in their several spellings.

Comes in: distinct texts of a column. Goes out: floats for arithmetic proofs (never for stored amounts).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

Mark = Literal[".", ","]
Floats = npt.NDArray[np.float64]

SIGN_CURRENCIES = {
    "€": "EUR", "R$": "BRL", "$": "USD", "£": "GBP", "¥": "JPY", "₹": "INR", "₺": "TRY", "₽": "RUB",
    "₩": "KRW",
    "zł": "PLN", "Kč": "CZK", "Ft": "HUF", "lei": "RON", "Fr.": "CHF",
}  # fmt: skip
CODES = [
    "EUR",
    "USD",
    "GBP",
    "CHF",
    "JPY",
    "CAD",
    "AUD",
    "NZD",
    "MXN",
    "BRL",
    "ARS",
    "CLP",
    "COP",
    "PEN",
    "INR",
    "CNY",
    "SEK",
    "NOK",
    "DKK",
    "PLN",
    "CZK",
    "HUF",
    "RON",
    "TRY",
    "AED",
    "ZAR",
]
SHARED_SIGNS = {"$": "US, Canadian, Australian, Mexican and other dollars and pesos", "¥": "yen and yuan"}
_CURRENCY = "|".join([*(re.escape(sign) for sign in SIGN_CURRENCIES), r"kr\.?", *CODES])
_SIGN = "[-+−]"  # noqa: RUF001  # the minus sign of typesetting is among what arrives
_BLANKS = " \u00a0\u202f\u2009"
_GROUPED = rf"\d{{1,3}}(?:(?P<group>[.,'’{_BLANKS}])\d{{3}})(?:(?P=group)\d{{3}})*(?:[.,]\d*)?"  # noqa: RUF001
_BODY = rf"{_GROUPED}|\d+(?:[.,]\d*)?|[.,]\d+"
NUMBER = re.compile(
    rf"\(?\s*{_SIGN}?\s*(?:{_CURRENCY})?\s*{_SIGN}?\s*(?P<body>{_BODY})\s*"
    rf"(?:{_CURRENCY})?\s*{_SIGN}?\s*\)?"
)
CURRENCY = re.compile(_CURRENCY)


@dataclass
class MarkEvidence:
    """How often the texts show each mark as decimal or thousands mark; `either` could be both (1.234)."""

    decimal: Counter[str] = field(default_factory=Counter)
    thousands: Counter[str] = field(default_factory=Counter)
    either: Counter[str] = field(default_factory=Counter)
    example: dict[tuple[str, str], str] = field(default_factory=dict)

    def note(self, role: str, mark: str, text: str) -> None:
        getattr(self, role)[mark] += 1
        self.example.setdefault((role, mark), text)

    def add(self, other: MarkEvidence) -> None:
        for role in ("decimal", "thousands", "either"):
            getattr(self, role).update(getattr(other, role))
        self.example = {**other.example, **self.example}

    def votes(self, mark: Mark) -> int:
        """Texts that only make sense when this is the decimal mark."""
        other = "," if mark == "." else "."
        return self.decimal[mark] + self.thousands[other]

    @property
    def proven(self) -> Mark | None:
        point, comma = self.votes("."), self.votes(",")
        return None if point == comma else "." if point > comma else ","


def is_number(text: str) -> bool:
    """Whether a text is a number or an amount."""
    return NUMBER.fullmatch(text) is not None


def mark_evidence(texts: Iterable[str]) -> MarkEvidence:
    """What the marks inside the numbers tell about their roles."""
    found = MarkEvidence()
    for text in texts:
        match = NUMBER.fullmatch(text)
        if match:
            _judge_marks(found, match["body"], text)
    return found


def _judge_marks(found: MarkEvidence, body: str, text: str) -> None:
    marks = re.findall(r"[.,'’]|(?<=\d)[\s](?=\d)", body)  # noqa: RUF001
    if not marks:
        return
    last = marks[-1]
    if len(set(marks)) > 1:
        found.note("decimal", last, text)
        found.note("thousands", marks[0], text)
    elif len(marks) > 1 or last not in ".,":
        found.note("thousands", last, text)
    else:
        before, after = body.split(last)
        grouped = len(after) == 3 and 1 <= len(before) <= 3 and not before.startswith("0")
        found.note("either" if grouped else "decimal", last, text)


def as_floats(texts: list[str], mark: Mark) -> Floats:
    """Numbers with the given decimal mark; NaN where a text is none."""
    return np.array([_as_float(text, mark) for text in texts], dtype=np.float64)


def _as_float(text: str, mark: Mark) -> float:
    match = NUMBER.fullmatch(text)
    if not match:
        return float("nan")
    kept = re.sub(rf"[^\d{re.escape(mark)}]", "", match["body"]).replace(mark, ".")
    try:
        size = float(kept)
    except ValueError:
        return float("nan")
    negative = re.search(r"[-−(]", text) is not None  # noqa: RUF001
    return -size if negative else size


def currency_signs(texts: Iterable[str]) -> Counter[str]:
    """Currency codes by how many texts show their sign."""
    found: Counter[str] = Counter()
    for text in texts:
        if sign := CURRENCY.search(text):
            found[sign[0]] += 1
    return found


def code_of(sign: str) -> str:
    """The currency a sign most likely means."""
    return SIGN_CURRENCIES.get(sign, sign if sign in CODES else "SEK")
