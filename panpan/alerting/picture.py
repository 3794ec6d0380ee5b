"""
A mail's picture: the values as bars, their levels as marks, drawn as PNG without browser, network or script.

Names enter the drawing as data only, so nothing a source sent is ever read as anything but text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import altair as alt
import vl_convert

from metabase.charts import FONT, INK, MAIN, QUIET, TONES, Drawing

MOST_BARS = 12
WIDTH, ROW_HEIGHT, LABEL_WIDTH = 420, 30, 190


@dataclass(frozen=True)
class Bar:
    """One bar: its name, its value in words, the value and the level it is held against."""

    name: str
    text: str
    value: Decimal
    level: Decimal | None


def draw_bars(bars: Sequence[Bar], *, is_good: bool) -> bytes:
    """A PNG of at most MOST_BARS bars, in their order."""
    values: list[dict[str, Any]] = [
        {
            "name": f"{place:02d}",  # the axis says the name; two things of one name stay two
            "label": bar.name,
            "text": bar.text,
            "value": float(bar.value),
            "level": None if bar.level is None else float(bar.level),
        }
        for place, bar in enumerate(bars[:MOST_BARS])
    ]
    longest = max([abs(v["value"]) for v in values] + [abs(v["level"] or 0) for v in values]) or 1
    lowest = min([0.0] + [v["value"] for v in values])
    base = alt.Chart(alt.Data(values=values), width=WIDTH, height=max(2, len(values)) * ROW_HEIGHT)  # type: ignore[no-untyped-call]
    rows = alt.Y(
        "name:N",
        title=None,
        sort=None,
        axis=alt.Axis(
            labelExpr="data('source_0')[toNumber(datum.value)].label",
            labelLimit=LABEL_WIDTH,
            domain=False,
            ticks=False,
            labelPadding=8,
            labelColor=INK,
            labelFontSize=13,
        ),
    )
    across = alt.X("value:Q", axis=None, scale=alt.Scale(domain=[lowest, longest * 1.3], nice=False))
    colour = MAIN if is_good else TONES["bad"]
    bar = base.mark_bar(color=colour, cornerRadiusEnd=2, size=16).encode(y=rows, x=across)
    text = base.mark_text(align="left", dx=6, color=INK, fontSize=13).encode(y=rows, x=across, text="text:N")
    level = base.mark_tick(color=INK, thickness=2, size=24).encode(y=rows, x=alt.X("level:Q", axis=None))
    return png_of(alt.layer(bar, level, text))


def png_of(chart: Drawing) -> bytes:
    """A chart in the mails' calm style."""
    calm = chart.configure(background="#ffffff", font=FONT, padding=8).configure_view(stroke=None)
    calm = calm.configure_axis(labelColor=QUIET, labelFontSize=12, grid=False)
    return bytes(vl_convert.vegalite_to_png(calm.to_dict(), scale=2, allowed_base_urls=[]))
