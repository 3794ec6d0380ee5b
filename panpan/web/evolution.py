"""
The page of one day's figure: its steps since it was first known, as a picture, in words and as a table.

Comes in: a metric, a day, filters. Goes out: what the template shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import altair as alt

from metabase.charts import INK, PALETTE, TONES, svg_of
from metabase.formats import write, write_moment
from panpan.errors import UsageError
from panpan.settings import Settings
from transforms.published import Evolution, Step, evolve

FILTERS = ("store", "source", "channel")
WORDS = {
    "new": "first known",
    "late": "receipts came late",
    "correction": "receipts were corrected",
    "refund": "money was given back",
    "rule change": "the rules changed",
    "delete": "receipts were deleted at the source",
    "return": "deleted receipts came back",
    "merge": "customers were merged",
    "unknown": "for a reason no receipt tells",
}
COLOURS = {"new": PALETTE[0], "late": PALETTE[2], "correction": PALETTE[1], "refund": TONES["bad"]}
OTHER = PALETTE[9]
ROOM_FOR_WORDS = 1.18


@dataclass(frozen=True)
class View:
    """What the page shows: the title, the steps as rows of texts, the picture, and whether all is explained."""

    title: str
    question: str
    definition: str
    owner: str
    sentence: str
    rows: list[tuple[str, str, str, str, str]]
    wide: str
    narrow: str
    unexplained: str
    is_explained: bool


def view(settings: Settings, metric: str, day: str, asked: dict[str, str]) -> View:
    """The page of a metric's day. Errors: UsageError for a wrong day, metric or filter."""
    try:
        when = date.fromisoformat(day)
    except ValueError:
        raise UsageError(f"{day!r} is no day", cause="expected the form 2026-05-31") from None
    where = {name: text for name, text in asked.items() if name in FILTERS and text}
    found = evolve(settings, metric, when, where, asked.get("currency") or None)
    kind = "money" if found.metric.unit == "currency" else "count"
    chosen = "".join(f", {name} {text}" for name, text in where.items())
    title = f"{metric.replace('_', ' ').capitalize()} of {when:%-d %B %Y}{chosen}"
    return View(
        title=title,
        question=found.metric.question,
        definition=found.metric.definition,
        owner=found.metric.owner,
        sentence=_sentence(found, kind),
        rows=[_row(step, kind) for step in found.steps],
        wide=_picture(found, 700, kind),
        narrow=_picture(found, 330, kind),
        unexplained=write(found.unexplained, kind),
        is_explained=found.unexplained == 0,
    )


def _sentence(found: Evolution, kind: str) -> str:
    if not found.steps:
        return "Nothing is known of this day."
    first, last = found.steps[0], found.steps[-1]
    if len(found.steps) == 1:
        return f"It is {write(last.value, kind)} and has not changed since it was first known."
    return (
        f"It was {write(first.value, kind)} when it was first known, changed {len(found.steps) - 1} times "
        f"and is {write(last.value, kind)} now."
    )


def _row(step: Step, kind: str) -> tuple[str, str, str, str, str]:
    causes = "; ".join(f"{WORDS.get(cause, cause)} ({write(amount, kind)})" for cause, amount in step.causes.items())
    return (
        write_moment(step.known_at),
        write(step.value, kind),
        write(step.delta, kind),
        causes or WORDS["unknown"],
        f"{step.receipts:,}",
    )


def _picture(found: Evolution, width: int, kind: str) -> str:
    """Steps as floating bars: where each took the figure from, and where to."""
    values: list[dict[str, Any]] = []
    before = 0.0  # a picture is drawn with floats; no figure is read from it
    for place, step in enumerate(found.steps):
        now = float(step.value)
        values.append(
            {
                "step": f"{place + 1}. {WORDS.get(step.cause, step.cause)}",
                "from": before if place else 0,
                "to": now,
                "colour": COLOURS.get(step.cause, OTHER),
                "label": write(step.delta, kind),
            }
        )
        before = now
    ends = [end for value in values for end in (value["from"], value["to"])] or [0]
    lowest, highest = min(0, *ends), max(0, *ends) * ROOM_FOR_WORDS
    order = [value["step"] for value in values]
    base = alt.Chart(alt.InlineData(values=values), width=width, height=max(120, 46 * len(values)))
    bars = base.mark_bar(height=22, cornerRadius=3).encode(
        y=alt.Y("step:N", sort=order, title=None, axis=alt.Axis(labelLimit=220, domain=False, ticks=False)),
        x=alt.X("from:Q", title=None, axis=alt.Axis(tickCount=5), scale=alt.Scale(domain=[lowest, highest])),
        x2="to:Q",
        color=alt.Color("colour:N", scale=None),
    )
    words = base.mark_text(align="left", dx=6, color=INK, fontSize=12).encode(
        y=alt.Y("step:N", sort=order), x=alt.X("upper:Q"), text="label:N"
    )
    words = words.transform_calculate(upper="max(datum.from, datum.to)")
    return svg_of(bars + words, None, f"{found.metric.name}/{width}")
