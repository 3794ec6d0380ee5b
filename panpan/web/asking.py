"""
The page of questions in plain words: the box, the figure with what it rests on, or why there is none.

Comes in: a question. Goes out: what the template shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import altair as alt

from metabase.charts import MAIN, NARROW, PALETTE, svg_of
from metabase.formats import MISSING, write_date
from panpan.ask.answering import Reply, ask
from panpan.ask.grammar import Reading
from panpan.settings import Settings
from transforms.metrics import CURRENCY, TIME_DIMENSIONS
from transforms.periods import business_today

EXAMPLES = (
    "revenue in May 2026 by store",
    "tickets yesterday",
    "average ticket last week against the week before",
    "which products are low in stock",
    "ventas netas de la semana pasada por tienda",
)
WIDE = 700
MOST_DRAWN = 400
MOST_SERIES = len(PALETTE)
FIGURES = ("value", "compared", "change")


@dataclass(frozen=True)
class View:
    """What the page shows; `reply` is None before a question was asked."""

    question: str
    reply: Reply | None
    figure: str | None
    columns: tuple[tuple[str, str], ...]  # name, and how it is called above the table
    rows: tuple[tuple[str, ...], ...]
    wide: str | None
    narrow: str | None
    legend: tuple[tuple[str, str], ...]
    examples: tuple[str, ...] = EXAMPLES


def view(settings: Settings, question: str) -> View:
    """The page of a question; the empty question is the page with the box alone."""
    text = question.strip()
    if not text:
        return View("", None, None, (), (), None, None, ())
    reply = ask(settings, text, business_today(settings))
    is_table = len(reply.rows) > 1 or (reply.reading is not None and bool(reply.reading.by or reply.reading.compare))
    # Amounts show their sign; the code is only said where it tells rows apart.
    hidden = {"change_share", *([CURRENCY] if _currencies(reply) < 2 else [])}
    names = [name for name in reply.rows[0] if name not in hidden] if reply.rows and is_table else []
    columns = tuple((name, _head(reply, name)) for name in names)
    rows = tuple(tuple(_cell(reply, row, name) for name in names) for row in reply.rows)
    wide, narrow = _picture(reply, WIDE), _picture(reply, NARROW)
    figure = reply.write(reply.value, reply.rows[0]) if len(reply.rows) == 1 else None
    return View(text, reply, figure, columns, rows, wide, narrow, _legend(reply))


def _head(reply: Reply, name: str) -> str:
    figure = reply.reading.metric if reply.reading else name
    return {"value": figure, "compared": f"{figure} before"}.get(name, name).replace("_", " ")


def _cell(reply: Reply, row: Mapping[str, Any], name: str) -> str:
    if name in FIGURES:
        return reply.write(row[name], row)
    value = row[name]
    if isinstance(value, date):
        return f"{value:%b %Y}" if name == "month" else write_date(value)
    return MISSING if value is None else _label(reply, name, value)


def _label(reply: Reply, dimension: str, value: Any) -> str:
    return reply.labels.get((dimension, str(value)), str(value))


def _series(reply: Reply) -> dict[str, str]:
    """Names of the lines of a chart over time, each with its colour."""
    if reply.reading is None:
        return {}
    others = [name for name in reply.reading.by if name not in TIME_DIMENSIONS]
    names = dict.fromkeys(_name(reply, row, others) for row in reply.rows)
    return {name: PALETTE[place % MOST_SERIES] for place, name in enumerate(names)}


def _name(reply: Reply, row: Mapping[str, Any], others: list[str]) -> str:
    parts = [_label(reply, name, row[name]) for name in others]
    return ", ".join([*parts, *([str(row[CURRENCY])] if _currencies(reply) > 1 else [])])


def _currencies(reply: Reply) -> int:
    return len({row[CURRENCY] for row in reply.rows if CURRENCY in row})


def _legend(reply: Reply) -> tuple[tuple[str, str], ...]:
    series = _series(reply)
    is_drawn = reply.reading is not None and set(reply.reading.by) & set(TIME_DIMENSIONS)
    return tuple(series.items()) if is_drawn and 1 < len(series) <= MOST_SERIES else ()


def _picture(reply: Reply, width: int) -> str | None:
    """A line over time, bars for a ranking or a split by one thing; nothing where a picture would say no more."""
    reading = reply.reading
    rows = [row for row in reply.rows if row["value"] is not None and not hasattr(row["value"], "tzinfo")]
    if reading is None or len(rows) < 2 or len(rows) > MOST_DRAWN:
        return None
    times = [name for name in reading.by if name in TIME_DIMENSIONS]
    if len(times) == 1 and reading.rank is None and len(_series(reply)) <= MOST_SERIES:
        return svg_of(_line(reply, reading, rows, width), None, f"ask/{width}")
    if len(reading.by) == 1 and len({row.get(CURRENCY) for row in rows}) == 1:
        return svg_of(_bars(reply, rows, reading.by[0], width), None, f"ask/{width}")
    return None


def _line(reply: Reply, reading: Reading, rows: list[dict[str, Any]], width: int) -> alt.Chart:
    [time] = [name for name in reading.by if name in TIME_DIMENSIONS]
    others = [name for name in reading.by if name != time]
    series = _series(reply)
    # A picture is drawn with floats; no figure is read from it.
    points = [{"x": str(row[time]), "y": float(row["value"]), "series": _name(reply, row, others)} for row in rows]
    colour = alt.Color("series:N", legend=None, scale=alt.Scale(domain=list(series), range=list(series.values())))
    chart: alt.Chart = (
        alt.Chart(alt.InlineData(values=points), width=width, height=220)
        .mark_line(point=len(rows) <= 2 * len(series) * 10, strokeWidth=1.8)
        .encode(
            x=alt.X("x:T", title=None, scale=alt.Scale(type="utc"), axis=alt.Axis(grid=False, tickCount=width // 90)),
            y=alt.Y("y:Q", title=None, axis=alt.Axis(tickCount=5, domain=False)),
            color=colour,
        )
    )
    return chart


def _bars(reply: Reply, rows: list[dict[str, Any]], dimension: str, width: int) -> alt.LayerChart:
    order = [_cell(reply, row, dimension) for row in rows]
    figures = [float(row["value"]) for row in rows]
    texts = [reply.write(row["value"], row) for row in rows]
    values = [
        {"name": name, "value": figure, "text": text} for name, figure, text in zip(order, figures, texts, strict=True)
    ]
    low, high = min(0.0, *figures), max(0.0, *figures) * 1.4 or 1
    names = width // 3  # as much for the names, so that letters are not drawn small to make room
    base = alt.Chart(alt.InlineData(values=values), width=width - names, height=max(60, 28 * len(values))).encode(
        y=alt.Y("name:N", sort=order, title=None, axis=alt.Axis(labelLimit=names, domain=False, ticks=False)),
        x=alt.X("value:Q", axis=None, scale=alt.Scale(domain=[low, high], nice=False)),
    )
    words = base.mark_text(align="left", dx=5, fontSize=12).encode(text="text:N")
    return alt.LayerChart(layer=[base.mark_bar(cornerRadiusEnd=2, color=MAIN), words])
