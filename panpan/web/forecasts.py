"""
The forecast page: the last weeks and the next days of each store, with the error the model had in its test.

Comes in: settings. Goes out: what the template shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import altair as alt

from metabase.charts import MAIN, NARROW, PALETTE, svg_of
from metabase.formats import write_date, write_money
from panpan.settings import Settings
from transforms.forecast import Forecast, forecast_sales
from transforms.periods import business_today

WIDE = 700


@dataclass(frozen=True)
class Card:
    """One store: its sentence, its picture, its days and errors as texts."""

    store: str
    sentence: str
    wide: str
    narrow: str
    days: tuple[tuple[str, str], ...]
    errors: tuple[tuple[str, str, str], ...]


def view(settings: Settings) -> list[Card]:
    """One card per store with enough days. Errors: UsageError when none has."""
    return [_card(each) for each in forecast_sales(settings, business_today(settings))]


def _card(found: Forecast) -> Card:
    best = found.errors[0]
    share = "" if best.wape is None else f", {100 * best.wape:.0f} % of what was sold"
    return Card(
        found.store,
        f"By {found.model}. In the test on {found.tested_days} days it was off by "
        f"{write_money(Decimal(str(best.mae)), found.currency_code)} a day{share}: {found.says}.",
        _picture(found, WIDE),
        _picture(found, NARROW),
        tuple((write_date(day), write_money(amount, found.currency_code)) for day, amount in found.days),
        tuple(
            (
                error.model,
                f"{error.mae:.2f} {found.currency_code}",
                "unknown" if error.wape is None else f"{100 * error.wape:.1f} %",
            )
            for error in found.errors
        ),
    )


def _picture(found: Forecast, width: int) -> str:
    """What was sold as a line, what is expected as a dashed one within its mean error."""
    off = found.errors[0].mae
    known: list[dict[str, Any]] = [{"x": str(day), "y": float(amount)} for day, amount in found.history]
    ahead: list[dict[str, Any]] = [
        {"x": str(day), "y": float(amount), "low": max(0.0, float(amount) - off), "high": float(amount) + off}
        for day, amount in found.days
    ]
    x = alt.X("x:T", title=None, scale=alt.Scale(type="utc"), axis=alt.Axis(grid=False, tickCount=width // 90))
    band = _chart(ahead, width).mark_area(opacity=0.18, color=PALETTE[1])
    dashed = _chart(ahead, width).mark_line(strokeDash=[5, 4], color=PALETTE[1])
    line = _chart(known, width).mark_line(strokeWidth=1.8, color=MAIN)
    y = alt.Y("y:Q", title=None, axis=alt.Axis(tickCount=4, domain=False))
    layers = [band.encode(x=x, y="low:Q", y2="high:Q"), line.encode(x=x, y=y), dashed.encode(x=x, y=y)]
    return svg_of(alt.LayerChart(layer=layers), found.currency_code, f"forecast/{found.store}/{width}")


def _chart(values: list[dict[str, Any]], width: int) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=values), width=width, height=180)
