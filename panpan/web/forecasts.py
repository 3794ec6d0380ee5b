"""
The forecast page: the last weeks and the next days of each store, how far off the model was in its test, and since.

Comes in: settings; what is kept in marts.sales_forecast, nothing is forecast here. Goes out: what the template shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import altair as alt

from metabase.charts import MAIN, NARROW, PALETTE, svg_of
from metabase.formats import MISSING, write_date, write_moment, write_money, write_share
from panpan.settings import Settings
from transforms.periods import business_today
from transforms.sales_forecast import Expected, Since, read_outlook

WIDE = 700
Cells = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Card:
    """One store: its sentence, its picture, the plan of what it was made from, and its figures as texts."""

    store: str
    sentence: str
    made: str
    plan_id: str
    wide: str
    narrow: str
    days: Cells
    errors: Cells
    met: Cells


@dataclass(frozen=True)
class View:
    """One card per store with a forecast, what came of earlier ones, and the stores without one."""

    cards: tuple[Card, ...]
    since: Cells
    left_out: Cells


def view(settings: Settings) -> View:
    """Everything the page shows, read from the marts."""
    found = read_outlook(settings, business_today(settings))
    return View(
        tuple(_card(each) for each in found.stores),
        tuple(_since(each, each.since) for each in found.stores if each.since),
        tuple((_name(each.store), each.reason) for each in found.left_out),
    )


def _name(store: str) -> str:
    return f"{store[:1].upper()}{store[1:]}"


def _card(found: Expected) -> Card:
    best = found.errors[0]
    share = "" if best.wape is None else f", {100 * best.wape:.0f} % of what was sold"
    return Card(
        _name(found.store),
        f"By {found.model}. In the test on {found.tested_days} days it was off by "
        f"{_money(best.mae, found)} a day{share}: {found.says}.",
        f"Made {write_moment(found.made_at)} from the days to {write_date(found.made_on)}",
        found.plan_id,
        _picture(found, WIDE),
        _picture(found, NARROW),
        tuple((write_date(day), _money(amount, found)) for day, amount in found.days),
        tuple((error.model, _money(error.mae, found), _share(error.wape)) for error in found.errors),
        tuple(
            (write_date(each.day), write_date(each.made_on), _money(each.expected, found), _money(each.sold, found))
            for each in found.met
        ),
    )


def _since(found: Expected, since: Since) -> tuple[str, ...]:
    """What came of what was expected of a store, as a row of texts."""
    tested = found.errors[0]
    figures = (_money(tested.mae, found), _share(tested.wape), _money(since.mae, found), _share(since.wape))
    return _name(found.store), *figures, str(since.days)


def _money(amount: Decimal, found: Expected) -> str:
    return write_money(amount, found.currency_code)


def _share(wape: Decimal | None) -> str:
    return MISSING if wape is None else write_share(wape)


def _picture(found: Expected, width: int) -> str:
    """What was sold as a line, what is expected as a dashed one within its mean error."""
    off = float(found.errors[0].mae)
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
