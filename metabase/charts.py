"""
Answers drawn as SVG, without a browser, a network or a script: altair says what, vl-convert draws.

Comes in: an answer and the colours of its series. Goes out: a picture in two widths (page and phone), its
legend, and the sentence that says the same in words. Names never enter a specification as anything but
data.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

import altair as alt
import vl_convert

from metabase.answers import Answer
from metabase.catalogue import Mark, Tone
from metabase.formats import NUMBER_LOCALE, currency_sign, write
from metabase.widths import cut

# Told apart by people who see colours differently, and at least 3:1 on white.
PALETTE = (
    "#1f6f78",
    "#b8651b",
    "#5b5ea6",
    "#8a8a1f",
    "#a3426b",
    "#2f7d4f",
    "#7a5c45",
    "#3f7fb5",
    "#8c4fa0",
    "#5f6b76",
)
MAIN = PALETTE[0]
PLAIN = "#7c8a95"
TONES: dict[Tone, str] = {"good": "#1f6f78", "warn": "#b8651b", "bad": "#b3372f"}
GOAL = "#6b7680"
INK, QUIET, GRID = "#22303a", "#55636e", "#e6e9ec"
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
Drawing: TypeAlias = alt.Chart | alt.LayerChart | alt.FacetChart

NARROW = 330
HALF_PAGE = 700
NARROW_LABELS, WIDE_LABELS = 140, 190
LABEL_SIZE = 12
MONTH_LABEL = 36
ROW_HEIGHT = 25
FEW_BARS = 6
MOST_DAY_TICKS = 7
ONE_YEAR = timedelta(days=300)


@dataclass(frozen=True)
class Picture:
    """A drawn answer: the chart for wide and narrow screens, its legend, its main figures in a sentence."""

    wide: str
    narrow: str
    legend: tuple[tuple[str, str], ...]
    sentence: str


def draw(answer: Answer, colours: Mapping[str, str], width: int) -> Picture:
    """
    Draw a line, bar or row chart.

    `colours` maps values of the display's series_key to colours; other series take the palette in order.
    """
    series = _series_colours(answer, colours)
    charts: dict[str, Callable[[Answer, Mapping[str, str], int], Drawing]] = {
        "line": _line,
        "bar": _bar,
        "row": _row,
    }
    make = charts[answer.question.display.kind]
    wide, narrow = (_svg(make(answer, series, pixels), answer, str(pixels)) for pixels in (width, NARROW))
    legend = tuple(series.items()) if len(series) > 1 else _marks(answer)
    return Picture(wide, narrow, legend + _goal_legend(answer), describe(answer))


def _marks(answer: Answer) -> tuple[tuple[str, str], ...]:
    """The words behind the colours of marked rows, those that occur."""
    mark = answer.question.display.mark
    if mark is None:
        return ()
    found = set(answer.values(mark.column))
    known = [word for word in mark.tones if word in found]
    return tuple((word, _mark_colour(mark, word)) for word in [*known, *sorted(found - set(known))])


def _mark_colour(mark: Mark, word: str) -> str:
    """Of a marked row; a word that is neither good nor bad news is grey."""
    return TONES[mark.tones[word]] if word in mark.tones else PLAIN


def _goal_legend(answer: Answer) -> tuple[tuple[str, str], ...]:
    """What is drawn solid and what dashed."""
    display = answer.question.display
    if display.goal is None:
        return ()
    return ((answer.question.column(display.y or "").title, MAIN), (display.goal.label, GOAL))


def warm_up() -> None:
    """Start the drawing engine, half a second's work, so that the first reader need not wait for it."""
    vl_convert.vegalite_to_svg({"data": {"values": []}, "mark": "point"}, allowed_base_urls=[])


def store_colours(store_ids: Sequence[str]) -> dict[str, str]:
    """One colour per store, by the order they opened."""
    return {store_id: PALETTE[place % len(PALETTE)] for place, store_id in enumerate(store_ids)}


def describe(answer: Answer) -> str:
    """The chart in one or two sentences, for those who listen to it."""
    display = answer.question.display
    kinds = {"line": "Line chart", "bar": "Bar chart", "row": "Ranking"}
    opening = f"{kinds[display.kind]}: {answer.question.title}."
    return f"{opening} {_ranking_words(answer) if display.kind == 'row' else _series_words(answer)}"


def _series_words(answer: Answer) -> str:
    display = answer.question.display
    x, y = display.x or "", display.y or ""
    ends = f"{_cell(answer, x, min(answer.values(x)))} to {_cell(answer, x, max(answer.values(x)))}"
    totals: dict[str, Any] = {}
    for record in answer.records():
        name = str(record[display.series]) if display.series else answer.question.column(y).title
        totals[name] = totals.get(name, 0) + (record[y] or 0)
    words = "; ".join(f"{name} {_cell(answer, y, total)} in all" for name, total in totals.items())
    if not display.adds_up:
        newest = {str(record[display.series]) if display.series else answer.question.column(y).title: record[y]
                  for record in answer.records() if record[y] is not None}  # fmt: skip
        words = "; ".join(f"{name} {_cell(answer, y, value)} at the end" for name, value in newest.items())
    return f"{ends}: {words}."


def _ranking_words(answer: Answer) -> str:
    display = answer.question.display
    x, y = display.x or "", display.y or ""
    rows = [f"{record[x]} {_cell(answer, y, record[y])}" for record in answer.records()]
    shown = ", ".join(rows[:3])
    return f"{shown}." if len(rows) <= 3 else f"First {shown}; last of {len(rows)} {rows[-1]}."


def _cell(answer: Answer, column: str, value: Any) -> str:
    return write(value, answer.question.column(column).format, answer.currency)


def _series_colours(answer: Answer, colours: Mapping[str, str]) -> dict[str, str]:
    """Series names in their order, each with its colour."""
    display = answer.question.display
    if display.series is None:
        return {}
    if display.series_key is None:
        return {name: PALETTE[place % len(PALETTE)] for place, name in enumerate(_distinct(answer, display.series))}
    keys = dict(zip(answer.values(display.series), answer.values(display.series_key), strict=True))
    order = {key: place for place, key in enumerate(colours)}
    names = sorted(keys, key=lambda name: (order.get(keys[name], len(order)), name))
    return {str(name): colours.get(keys[name], MAIN) for name in names}


def _distinct(answer: Answer, column: str) -> list[str]:
    return [str(value) for value in dict.fromkeys(answer.values(column))]


def _line(answer: Answer, series: Mapping[str, str], width: int) -> Drawing:
    chart = _base(_points(answer, series), width, 260 if width > NARROW else 200)
    days = answer.values(answer.question.display.x or "")
    few = (max(days) - min(days)).days < MOST_DAY_TICKS
    ticks = alt.TimeIntervalStep(interval="day", step=1) if few else 10 if width > NARROW else 4
    x = alt.X(
        "x:T",
        title=None,
        scale=alt.Scale(type="utc"),
        axis=alt.Axis(
            format="%b %Y" if max(days) - min(days) > ONE_YEAR else "%-d %b",
            tickCount=ticks,
            grid=False,
            labelOverlap=True,
            labelSeparation=14,  # the page's letters may be wider than those it was laid out with
        ),
    )
    drawn = chart.mark_line(strokeWidth=1.8, strokeJoin="round")
    if len(answer.rows) <= 2 * max(1, len(series)):  # a line of one point can't be seen
        drawn = chart.mark_line(point=alt.OverlayMarkDef(size=50))
    encoded: alt.Chart = drawn.encode(
        x=x, y=_figure_axis(answer, stack=False), color=_colour(series), detail="series:N"
    )
    return _with_goal(encoded, answer, chart, x)


def _bar(answer: Answer, series: Mapping[str, str], width: int) -> Drawing:
    months = _distinct_months(answer)
    height = 220 if width <= NARROW else 280 if width > HALF_PAGE else 340
    chart = _base(_points(answer, series), width, height)
    gap = 0.28 if len(months) > FEW_BARS else 0.7
    # Where all fit the year stands under January and the first; else some months, each with its year.
    step = math.ceil(len(months) * MONTH_LABEL / width)
    short, two_lines = "slice(datum.label, 0, 3)", "split(datum.label, ' ')"
    label = f"datum.index == 0 || {short} == 'Jan' ? {two_lines} : {short}" if step == 1 else two_lines
    x = alt.X(
        "x:O",
        title=None,
        sort=months,
        scale=alt.Scale(domain=months, paddingInner=gap, paddingOuter=gap / 2),
        axis=alt.Axis(
            values=months[::-step],
            labelAngle=0,
            labelExpr=label,
            labelOverlap=False,
            grid=False,
            domainColor="#aab4bc",
        ),
    )
    encoded: alt.Chart = chart.mark_bar().encode(
        x=x, y=_figure_axis(answer, stack=True), color=_colour(series), order=alt.Order("place:Q")
    )
    return _with_goal(encoded, answer, chart, x)


def _with_goal(drawn: alt.Chart, answer: Answer, chart: alt.Chart, x: alt.X) -> Drawing:
    """The chart with its goal as a dashed line over it."""
    if answer.question.display.goal is None:
        return drawn
    line = chart.mark_line(strokeDash=[5, 4], strokeWidth=1.8, color=GOAL, point=False)
    return alt.layer(drawn, line.encode(x=x, y=alt.Y("goal:Q", title=None)))


def _goal(answer: Answer, record: Mapping[str, Any]) -> float | None:
    goal = answer.question.display.goal
    value = record[goal.column] if goal and goal.column else goal.value if goal else None
    return None if value is None else float(value)


def _row(answer: Answer, series: Mapping[str, str], width: int) -> Drawing:
    display = answer.question.display
    unit = " days" if answer.question.column(display.y or "").format == "days" else ""
    values: list[dict[str, Any]] = [
        {
            "x": float(record[display.y or ""] or 0),
            "y": str(record[display.x or ""]),
            "text": _cell(answer, display.y or "", record[display.y or ""]) + unit,
            "colour": _mark_colour(display.mark, record[display.mark.column]) if display.mark else MAIN,
        }
        for record in answer.records()
    ]
    room = 1.28 if width > NARROW else 1.75  # to the right of the longest bar stands its figure
    longest = max((abs(v["x"]) for v in values), default=0) or 1
    low = min(0.0, min(v["x"] for v in values) * room)
    base = _base(values, width, max(2, len(values)) * ROW_HEIGHT).encode(
        y=alt.Y(
            "y:N",
            sort=[v["y"] for v in values],
            title=None,
            scale=alt.Scale(paddingInner=0.3),
            axis=alt.Axis(
                labelLimit=0,  # cut here: the drawing engine cuts through characters of two halves, and fails
                labelExpr=_shortened_labels({v["y"] for v in values}, WIDE_LABELS if width > NARROW else NARROW_LABELS),
                domain=False,
                ticks=False,
                labelPadding=8,
                labelColor=INK,
            ),
        ),
        x=alt.X("x:Q", axis=None, scale=alt.Scale(domain=[low, longest * room], nice=False)),
    )
    bars = base.mark_bar(cornerRadiusEnd=2).encode(color=alt.Color("colour:N", scale=None, legend=None))
    figures = base.mark_text(align="left", dx=6, color=INK, fontSize=12).encode(text="text:N")
    return alt.layer(bars, figures)


def _shortened_labels(names: Collection[str], pixels: int) -> str:
    """An expression that shows each name cut to a width; the names stay what they are, so no two become one bar."""
    short = {name: cut(name, pixels, LABEL_SIZE) for name in sorted(names)}
    return f"{json.dumps(short, ensure_ascii=False)}[datum.label]"


def _base(values: list[dict[str, Any]], width: int, height: int) -> alt.Chart:
    return alt.Chart(alt.Data(values=values), width=width, height=height)  # type: ignore[no-untyped-call]


def _points(answer: Answer, series: Mapping[str, str]) -> list[dict[str, Any]]:
    display = answer.question.display
    places = {name: place for place, name in enumerate(series)}
    points = []
    for record in answer.records():
        if record[display.y or ""] is not None or _goal(answer, record) is not None:
            figure = record[display.y or ""]
            name = str(record[display.series]) if display.series else ""
            x: date = record[display.x or ""]
            points.append(
                {
                    "x": x.isoformat() if display.kind == "line" else f"{x:%b %Y}",
                    "y": None if figure is None else float(figure),
                    "goal": _goal(answer, record),
                    "series": name,
                    "place": places.get(name, 0),
                }
            )
    return points


def _distinct_months(answer: Answer) -> list[str]:
    """Every month from the first to the last: a month without sales is a gap, not left out."""
    months = answer.values(answer.question.display.x or "")
    month, last, found = min(months), max(months), []
    while month <= last:
        found.append(f"{month:%b %Y}")
        month = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    return found


def _figure_axis(answer: Answer, *, stack: bool) -> alt.Y:
    figure = answer.question.column(answer.question.display.y or "")
    goal = answer.question.display.goal
    values = answer.values(figure.name) + (answer.values(goal.column) if goal and goal.column else [])
    largest = max((abs(value) for value in values if value is not None), default=0)
    axis = alt.Axis(
        format=_axis_format(figure.format, largest),
        tickCount=5,
        tickMinStep=1 if figure.format == "count" else alt.Undefined,
        domain=False,
        ticks=False,
        labelPadding=8,
    )
    return alt.Y("y:Q", title=None, axis=axis, scale=alt.Scale(nice=5), stack="zero" if stack else None)


def _axis_format(kind: str, largest: Decimal | int) -> str:
    """Short on the axis; the exact figures are in the table."""
    if kind == "money":
        return "$,.2f" if largest < 10 else "$,.0f" if largest < 1000 else "$,.3~s"
    return {"count": ",d", "share": ".0%"}.get(kind, ",")


def _colour(series: Mapping[str, str]) -> alt.Color | alt.ColorValue:
    if not series:
        return alt.value(MAIN)  # type: ignore[return-value]  # altair types the value as a plain mapping
    scale = alt.Scale(domain=list(series), range=list(series.values()))
    return alt.Color("series:N", scale=scale, legend=None)


def _svg(chart: Drawing, answer: Answer, variant: str) -> str:
    return svg_of(chart, answer.currency, f"{answer.question.name}/{variant}")


def svg_of(chart: Drawing, currency: str | None, name: str) -> str:
    """A chart in the pages' calm style; `name` keeps the ids of several pictures on a page apart."""
    calm = chart.configure(
        aria=False,  # the figure around it speaks for the whole chart
        background="transparent",
        font=FONT,
        autosize=alt.AutoSizeParams(type="fit", contains="padding"),
        padding=4,
    )
    calm = calm.configure_view(stroke=None).configure_axis(
        labelColor=QUIET, gridColor=GRID, tickColor="#aab4bc", domainColor="#aab4bc", labelFontSize=LABEL_SIZE
    )
    svg = vl_convert.vegalite_to_svg(
        calm.to_dict(),
        allowed_base_urls=[],
        format_locale={**NUMBER_LOCALE, "currency": [currency_sign(currency), ""]},
    )
    return _fit_for_page(svg, hashlib.sha256(name.encode()).hexdigest()[:8])


def _fit_for_page(svg: str, prefix: str) -> str:
    """Let the page decide the size, and keep ids of several pictures on a page apart."""
    head, rest = svg.split(">", 1)
    head = re.sub(r' (?:width|height)="[^"]*"', "", head).replace("<svg", '<svg aria-hidden="true" focusable="false"')
    ids = set(re.findall(r'<(?:clipPath|linearGradient|radialGradient) id="([\w-]+)"', rest))
    for name in ids:
        rest = rest.replace(f' id="{name}"', f' id="{prefix}-{name}"').replace(
            f"url(#{name})", f"url(#{prefix}-{name})"
        )
    return f"{head}>{rest}"
