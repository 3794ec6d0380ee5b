"""
A report made: figures with their change, three sentences, a picture, links to the receipts.

Comes in: the metric compiler's answers as of a moment. Goes out: one page that needs nothing else, the same bytes for
the same moment, whatever became known since.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from metabase.desired import web_address
from panpan.alerting.language import day, moment, money, number, share, words
from panpan.alerting.picture import Bar, draw_bars
from panpan.alerting.rules import Language
from panpan.settings import Settings
from panpan.templates import templates
from transforms.compiler import Answer, Query, compile_query, evaluate
from transforms.periods import business_today, days_of

Name = Literal["daily", "weekly"]
NAMES: tuple[Name, ...] = ("daily", "weekly")
PERIODS: dict[Name, tuple[str, str]] = {
    "daily": ("yesterday", "same-weekday-last-week"),
    "weekly": ("last-week", "previous-period"),
}
METRICS = ("revenue", "tickets", "average_ticket", "new_customers")
LOW_STOCK = "low_stock_products"

_templates = templates(Path(__file__).parent / "templates")


@dataclass(frozen=True)
class Report:
    """One report in one language; html is the page byte for byte, plan_ids lead to each figure's receipts."""

    name: Name
    language: Language
    as_of: datetime
    first_day: date
    last_day: date
    plan_ids: tuple[str, ...]
    subject: str
    text: str
    html: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.html).hexdigest()


@dataclass(frozen=True)
class Figure:
    """One figure with its change as text; receipts: where it leads."""

    title: str
    value: str
    change: str
    receipts: str


def compose(settings: Settings, name: Name, as_of: datetime, language: Language) -> Report:
    """
    Make a report as of a moment. Again as of the same moment it gives the same bytes.

    Errors: UsageError where a metric has no past; DatabaseError when there is no server.
    """
    period, compare = PERIODS[name]
    today = business_today(settings, as_of)
    first, last = days_of(period, today)
    said = words(language)["report"]

    def answer(metric: str, **asked: Any) -> Answer:
        return evaluate(settings, compile_query(Query(metric, as_of=as_of, **asked), today))

    wholes = {metric: answer(metric, period=period, compare=compare) for metric in METRICS}
    stores = answer("revenue", by=("store",), period=period, compare=compare)
    low = answer(LOW_STOCK)
    address = web_address(settings)
    figures = [figure for each in wholes.values() for figure in _figures(each, language, address)]
    when = (
        day(first, language)
        if first == last
        else said["from_to"].format(first=day(first, language), last=day(last, language))
    )
    values = {
        "said": said,
        "language": language,
        "title": said["titles"][name],
        "when": when,
        "compared": said["compared"][name],
        "as_of": said["as_of"].format(moment=moment(as_of, language, settings.report_time_zone)),
        "sentences": _sentences(wholes, stores, low, language, name),
        "figures": figures,
        "picture": _picture(stores, language),
        "low_receipts": f"{address}/receipts/plan/{low.plan.plan_id}",
    }
    return Report(
        name=name,
        language=language,
        as_of=as_of,
        first_day=first,
        last_day=last,
        plan_ids=tuple(each.plan.plan_id for each in (*wholes.values(), stores, low)),
        subject=f"{said['titles'][name]}: {when}",
        text=_templates.get_template("report.txt").render(values),
        html=_templates.get_template("report.html").render(values).encode(),
    )


def _figures(answer: Answer, language: Language, address: str) -> list[Figure]:
    """A figure per currency; a metric without any figure says so by a dash."""
    title = words(language)["report"]["metrics"][answer.plan.metric.name]
    rows = answer.rows or [{"value": None}]
    receipts = f"{address}/receipts/plan/{answer.plan.plan_id}"
    return [Figure(title, _value(row, language), _change(row, language), receipts) for row in rows]


def _value(row: Mapping[str, Any], language: Language, column: str = "value") -> str:
    value = row.get(column)
    if value is None:
        return "–"  # noqa: RUF001  # what a missing figure looks like
    if row.get("currency_code"):
        return money(Decimal(value), row["currency_code"], language)
    return number(Decimal(value), language)


def _change(row: Mapping[str, Any], language: Language) -> str:
    said = words(language)["report"]
    if row.get("change_share") is None:
        return str(said["no_comparison"])
    kind = "up" if row["change_share"] > 0 else "down" if row["change_share"] < 0 else "same"
    return str(said[kind].format(share=share(abs(Decimal(row["change_share"])), language)))


def _sentences(wholes: Mapping[str, Answer], stores: Answer, low: Answer, language: Language, name: Name) -> list[str]:
    said = words(language)["report"]
    money_rows = wholes["revenue"].rows
    first = [
        said["revenue"].format(
            value=_value(row, language), change=_change(row, language), compared=said["compared"][name]
        )
        for row in money_rows
    ] or [said["nothing"]]
    sold = [row for row in stores.rows if row["value"] is not None]
    moved = [row for row in sold if row["change_share"] is not None]
    second = []
    if sold:
        best = max(sold, key=lambda row: row["value"])
        second.append(said["best"].format(store=best["store"], value=_value(best, language)))
    if moved:
        most = max(moved, key=lambda row: abs(row["change_share"]))
        second.append(said["most"].format(store=most["store"], change=_change(most, language)))
    count = sum(int(row["value"] or 0) for row in low.rows)
    third = said["low" if count else "enough"].format(count=count)
    return [" ".join(first), " ".join(second) or said["no_store"], third]


def _picture(stores: Answer, language: Language) -> str | None:
    """Revenue per store as bars, the compared period as marks; None without sales, or with several currencies."""
    currencies = {row.get("currency_code") for row in stores.rows}
    rows = [row for row in stores.rows if row["value"] is not None]
    if len(currencies) != 1 or not rows:
        return None
    bars = [Bar(str(row["store"]), _value(row, language), row["value"], row["compared"]) for row in rows]
    return base64.b64encode(draw_bars(bars, is_good=True)).decode()
