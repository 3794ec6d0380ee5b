"""
How values are written for readers: one place for money, counts, shares and moments, for pages and charts.

Exact in, exact out: amounts stay decimals until they are text.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

MISSING = "–"  # noqa: RUF001  # an en dash is what a missing figure looks like
MINUS = "\N{MINUS SIGN}"
SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "CHF": "CHF\N{NO-BREAK SPACE}"}
NUMBER_LOCALE = {"decimal": ".", "thousands": ",", "grouping": [3]}


def currency_sign(currency: str | None) -> str:
    """What stands before an amount."""
    return SYMBOLS.get(currency, f"{currency}\N{NO-BREAK SPACE}") if currency else ""


def write_money(value: Decimal | int, currency: str | None) -> str:
    sign = MINUS if value < 0 else ""
    return f"{sign}{currency_sign(currency)}{abs(Decimal(value)):,.2f}"


def write_quantity(value: Decimal | int) -> str:
    """As many decimals as the value has, at most four: 12, 0.5, 1.25."""
    text = f"{Decimal(value):,.4f}".rstrip("0").rstrip(".")
    return text.replace("-", MINUS)


def write_count(value: Decimal | int) -> str:
    return f"{int(value):,}".replace("-", MINUS)


def write_share(value: Decimal) -> str:
    return f"{value * 100:,.1f}%".replace("-", MINUS)


def write_date(value: date) -> str:
    return f"{value.day} {value:%b %Y}"


def write_moment(value: datetime) -> str:
    """In the time of this machine, with the name of its zone."""
    local = value.astimezone()
    return f"{local.day} {local:%b %Y, %H:%M %Z}"


def write_period(first: date, last: date) -> str:
    return write_date(first) if first == last else f"{write_date(first)} to {write_date(last)}"


def write(value: Any, kind: str, currency: str | None = None) -> str:
    """A cell as text; a missing value is a dash, never a zero."""
    if value is None:
        return MISSING
    if kind == "money":
        return write_money(value, currency)
    writers: dict[str, Any] = {
        "count": write_count,
        "quantity": write_quantity,
        "days": write_quantity,
        "hours": lambda hours: f"{write_quantity(hours)} h",
        "minutes": lambda minutes: f"{write_quantity(minutes)} min",
        "share": write_share,
        "date": write_date,
        "month": lambda month: f"{month:%b %Y}",
        "moment": write_moment,
    }
    return str(writers.get(kind, str)(value))
