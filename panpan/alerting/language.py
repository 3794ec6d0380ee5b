"""
Mails in the reader's language: words from words/<language>.yaml, numbers and moments as the language writes them.

Exact in, exact out: amounts stay decimals until they are text.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from metabase.formats import MINUS, MISSING, currency_sign
from panpan.alerting.rules import Format

FOLDER = Path(__file__).parent / "words"


@cache
def words(language: str) -> Mapping[str, Any]:
    """All words of a language."""
    said: dict[str, Any] = yaml.safe_load((FOLDER / f"{language}.yaml").read_text(encoding="utf-8"))
    return said


def number(value: Decimal, language: str, decimals: int | None = None) -> str:
    """With the language's marks; without a number of decimals as many as the value has, at most four."""
    said = words(language)
    rounded = value.quantize(Decimal(1).scaleb(-(4 if decimals is None else decimals)), ROUND_HALF_UP)
    text = f"{abs(rounded):,f}"
    if decimals is None and "." in text:
        text = text.rstrip("0").rstrip(".")
    whole, _, part = text.partition(".")
    marked = whole.replace(",", said["thousands"]) + (said["decimal"] + part if part else "")
    return f"{MINUS if rounded < 0 else ''}{marked}"


def money(value: Decimal, currency: str | None, language: str) -> str:
    text = number(abs(value), language, 2)
    written = str(words(language)["money"].format(sign=currency_sign(currency).strip(), amount=text)).strip()
    return f"{MINUS if value < 0 else ''}{written}"


def share(value: Decimal, language: str) -> str:
    return str(words(language)["share"].format(number=number(value * 100, language, 1)))


def figure(
    value: Decimal | None, kind: Format, language: str, *, unit: str | None = None, currency: str | None = None
) -> str:
    """A rule's value or level as text; a missing one is a dash, never a zero."""
    if value is None:
        return MISSING
    if kind == "money":
        return money(value, currency, language)
    if kind == "share":
        return share(value, language)
    if kind == "hours":
        return str(words(language)["hours"].format(number=number(value, language)))
    return f"{number(value, language)}{f' {unit}' if unit else ''}"


def day(value: date, language: str) -> str:
    return f"{value.day} {words(language)['months'][value.month - 1]} {value.year}"


def moment(value: datetime, language: str, zone: str) -> str:
    """In the reader's zone, with its name."""
    local = value.astimezone(ZoneInfo(zone))
    return f"{day(local.date(), language)}, {local:%H:%M} {local.tzname()}"
