"""
Displays of our question files in Metabase's words: `display` and `visualization_settings`.

Metabase stores these settings unchecked, so what is written here is all there is: docs/metabase.md names what no
server has confirmed.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from metabase.catalogue import Column, Display, Question

COLOURS = {"good": "#84BB4C", "warn": "#F9CF48", "bad": "#ED6E6E"}
GOAL = "#696E7B"
MOST = 1_000_000_000  # where an open range ends
CHARTS = ("line", "bar", "row", "area", "combo", "scatter", "waterfall")
SINGLE = ("scalar",)
MONEY_DECIMALS = 2

# Formats of our columns. Money has no sign here: rows may be in different currencies, and say which.
COLUMN_STYLES: dict[str, dict[str, Any]] = {
    "money": {"number_style": "decimal", "decimals": MONEY_DECIMALS, "number_separators": ".,"},
    "count": {"number_style": "decimal", "decimals": 0, "number_separators": ".,"},
    "quantity": {"number_style": "decimal", "number_separators": ".,"},
    "days": {"number_style": "decimal", "decimals": 1, "number_separators": ".,", "suffix": " d"},
    "hours": {"number_style": "decimal", "decimals": 1, "number_separators": ".,", "suffix": " h"},
    "minutes": {"number_style": "decimal", "decimals": 1, "number_separators": ".,", "suffix": " min"},
    "share": {"number_style": "percent", "decimals": 1, "number_separators": ".,"},
    "date": {"date_style": "D MMMM, YYYY", "date_abbreviate": True, "time_enabled": None},
    "month": {"date_style": "MMMM, YYYY", "date_abbreviate": True, "time_enabled": None},
    "moment": {"date_style": "D MMMM, YYYY", "date_abbreviate": True, "time_enabled": "minutes"},
}


def display_of(question: Question) -> str:
    """Metabase's word for the picture. A single figure with a change beside it is its "trend"."""
    shown = question.display
    if shown.kind in SINGLE and shown.compare and shown.compare.as_ == "change" and shown.x:
        return "smartscalar"
    if shown.kind == "bar" and shown.goal and shown.goal.column:
        return "combo"
    return shown.kind


def settings_of(question: Question) -> dict[str, Any]:
    """The card's `visualization_settings`."""
    display = display_of(question)
    settings: dict[str, Any] = {"column_settings": column_settings(question.columns)}
    if display in CHARTS:
        settings |= chart_settings(question)
    elif display == "smartscalar":
        settings |= trend_settings(question)
    elif display == "scalar":
        settings |= figure_settings(question)
    elif display == "table":
        settings |= table_settings(question)
    return settings


def column_key(name: str) -> str:
    """Metabase keys formats by a JSON text."""
    return json.dumps(["name", name], separators=(",", ":"), ensure_ascii=False)


def column_settings(columns: tuple[Column, ...]) -> dict[str, dict[str, Any]]:
    """Title and format of every column."""
    return {column_key(c.name): {"column_title": c.title} | COLUMN_STYLES.get(c.format, {}) for c in columns}


def chart_settings(question: Question) -> dict[str, Any]:
    """Axes and series of a chart."""
    shown = question.display
    settings: dict[str, Any] = {
        "graph.dimensions": [name for name in (shown.x, shown.series) if name],
        "graph.metrics": [shown.y] if shown.y else [],
        "graph.x_axis.labels_enabled": False,
        "graph.y_axis.title_text": question.column(shown.y).title if shown.y else "",
    }
    if shown.x and question.column(shown.x).format in ("date", "month", "moment"):
        settings["graph.x_axis.scale"] = "timeseries"
    if shown.kind == "bar" and shown.series:
        settings["stackable.stack_type"] = "stacked"
    return settings | goal_settings(shown)


def goal_settings(shown: Display) -> dict[str, Any]:
    """A goal that moves is a second, dashed line; one that stands is Metabase's own goal line."""
    if shown.goal is None:
        return {}
    if shown.goal.column is None:
        line = {"graph.show_goal": True, "graph.goal_value": as_number(shown.goal.value or Decimal(0))}
        return line | {"graph.goal_label": shown.goal.label}
    looks = {"display": "line", "line.style": "dashed", "color": GOAL, "title": shown.goal.label}
    return {
        "graph.metrics": [shown.y, shown.goal.column],
        "series_settings": {shown.y: {"display": shown.kind}, shown.goal.column: looks},
    }


def as_number(value: Decimal) -> int | float:
    """JSON has numbers only; this is where a line is drawn, not an amount."""
    return int(value) if value == value.to_integral_value() else float(value)


def trend_settings(question: Question) -> dict[str, Any]:
    """A figure beside the one it is compared with."""
    shown = question.display
    beside = {"column": shown.compare.column, "label": shown.compare.label} if shown.compare else {}
    comparison = {"type": "anotherColumn", **beside}
    return {"scalar.field": shown.y, "scalar.comparisons": [{"id": f"{question.name}-1", **comparison}]}


def figure_settings(question: Question) -> dict[str, Any]:
    """A single figure, red above its alarm."""
    shown = question.display
    settings: dict[str, Any] = {"scalar.field": shown.y}
    if shown.alarm_above is not None:
        least = shown.alarm_above + 1  # figures with an alarm are counts
        settings["scalar.segments"] = [{"min": least, "max": MOST, "color": COLOURS["bad"], "label": "act"}]
    return settings


def table_settings(question: Question) -> dict[str, Any]:
    """Order and visibility of columns, colours of words that are good or bad news."""
    shown = question.display
    settings: dict[str, Any] = {
        "table.columns": [{"name": c.name, "enabled": not c.hidden} for c in question.columns],
    }
    if shown.mark:
        settings["table.column_formatting"] = [
            {
                "columns": [shown.mark.column],
                "type": "single",
                "operator": "=",
                "value": word,
                "color": COLOURS[tone],
                "highlight_row": False,
            }
            for word, tone in shown.mark.tones.items()
        ]
    if shown.bar:
        settings["column_settings"] = column_settings(question.columns)
        settings["column_settings"][column_key(shown.bar)]["show_mini_bar"] = True
    return settings


def link_settings(question: Question, address: str) -> dict[str, Any]:
    """The click of a card on a dashboard leads to our own page of the question, with its rows and receipts."""
    click = {"type": "link", "linkType": "url", "linkTemplate": address}
    if display_of(question) != "table":
        return {"click_behavior": click}
    # A dashboard's settings replace the card's key by key, so all columns are said again.
    columns: dict[str, dict[str, Any]] = settings_of(question)["column_settings"]
    columns[column_key(next(c.name for c in question.columns if not c.hidden))]["click_behavior"] = click
    return {"column_settings": columns}
