"""
The forecasts of daily sales as a mart: what is expected, how far off the model was in its test, and how far off it is.

Comes in: the revenue of each store's days, by the metric. Goes out: marts.sales_forecast, 14 days ahead per store and
last day known, made again only for stores whose days have changed; and what is kept, beside what came.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
from psycopg2 import extras, sql
from psycopg2.extensions import connection as PgConnection

from db.connection import connect
from panpan.settings import Settings
from transforms.compiler import Plan, Query, compile_query, keep_plan, read_rows
from transforms.forecast import HORIZON, LEAST_DAYS, LONGEST_HISTORY, WEEK, Error, Forecast, Model, daily, forecast
from transforms.merge import Table, merge
from transforms.metrics import CURRENCY
from transforms.periods import spelled

SALES_FORECAST = Table(
    "marts",
    "sales_forecast",
    ("made_on", "store_id", "currency_code", "business_date"),
    replaced_by=("made_on", "store_id", "currency_code"),
    replaced_within="forecasts_to_replace",
)
LOCK_KEY = 7_265_734  # worker and command never write at once; any fixed number of our own
METHOD = "1"  # raised when transforms/forecast.py works it out otherwise: what was made on the newest day is made again
SHOWN_DAYS = 8 * WEEK

Sold = dict[date, Decimal | None]  # None: sold, for an unknown amount


@dataclass(frozen=True)
class Input:
    """What a store's forecast is made from: its revenue by day, and the plan that leads to the receipts of it."""

    days: pd.Series
    plan: Plan

    @property
    def hash(self) -> str:
        days = (f"{day.date()} {amount:.2f}" for day, amount in self.days.items())
        return hashlib.sha256("\n".join([METHOD, self.plan.plan_id, *days]).encode()).hexdigest()


@dataclass(frozen=True)
class LeftOut:
    """A store without a forecast, and why."""

    store: str
    currency_code: str
    reason: str


@dataclass(frozen=True)
class Met:
    """A day that has come: what the newest forecast made before it expected, and what was sold."""

    day: date
    made_on: date
    expected: Decimal
    sold: Decimal


@dataclass(frozen=True)
class Since:
    """How far off the forecasts of the newest 14 days were, each 1 to 14 days ahead: mae and wape as in the test."""

    days: int
    forecasts: int
    mae: Decimal
    wape: Decimal | None


@dataclass(frozen=True)
class Expected:
    """
    What is expected of a store, as it is kept.

    days: (day, amount) ahead; history: what was sold on the days before; met: the newest of them that were forecast,
    and since: how far off that was, None while no such day has come.
    """

    store: str
    currency_code: str
    made_on: date
    made_at: datetime
    model: Model
    says: str
    errors: tuple[Error, ...]
    tested_days: int
    plan_id: str
    days: tuple[tuple[date, Decimal], ...]
    history: tuple[tuple[date, Decimal], ...]
    since: Since | None
    met: tuple[Met, ...]


@dataclass(frozen=True)
class Outlook:
    """All stores: those of which something is expected, and those left out."""

    stores: tuple[Expected, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


# --- making and keeping --------------------------------------------------------------------------------------


def refresh_forecast(settings: Settings, today: date) -> int:
    """
    Make marts.sales_forecast say what may come after the last day known, for the stores whose days have changed.

    A second call changes nothing. Gives the number of rows written; the plans of what they are made from are kept.
    """
    with connect(settings, "transformer") as connection:
        with connection.cursor() as cursor:
            cursor.execute("select pg_advisory_xact_lock(%s)", (LOCK_KEY,))
        last = _last_day(connection, today)
        if last is None:
            return 0
        inputs = {each.hash: each for each in _inputs(connection, last)}
        for each in inputs.values():
            keep_plan(settings, each.plan)
        known = _known_hashes(connection, last)
        rows = [row for key, each in inputs.items() if key not in known for row in _rows(each, forecast(each.days))]
        return _write(connection, last, list(inputs), rows)


def _last_day(connection: PgConnection, today: date) -> date | None:
    """The last day of which sales are known, and today is not over; None where nothing was sold yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select case when max(business_date) is not null then least(max(business_date), %s::date - 1) end
            from marts.daily_store_sales
            """,
            (today,),
        )
        [(last,)] = cursor.fetchall()
    return last  # type: ignore[no-any-return]  # a date is a date


def _inputs(connection: PgConnection, last: date) -> Iterator[Input]:
    """What each store is forecast from, of those that can be."""
    left_out = {(each.store, each.currency_code) for each in _left_out(connection, last)}
    plan = _revenue(_first_day(last), last, by=("day", "store"))
    rows = pd.DataFrame(read_rows(connection, plan), columns=["day", "store", CURRENCY, "value"])
    for (store, currency), of_store in rows.groupby(["store", CURRENCY]):
        if (store, currency) not in left_out:
            days = daily(of_store, last)
            yield Input(days, _revenue(days.index[0].date(), last, where={"store": store, "currency": currency}))


def _first_day(last: date) -> date:
    """Of the days a forecast looks at."""
    return last - timedelta(days=LONGEST_HISTORY - 1)


def _revenue(first: date, last: date, by: tuple[str, ...] = (), where: dict[str, str] | None = None) -> Plan:
    return compile_query(Query("revenue", by, where or {}, spelled(first, last)), last)


def _left_out(connection: PgConnection, last: date) -> list[LeftOut]:
    """The stores that sold something in the days a forecast looks at, and can't be forecast."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select store_id, currency_code, min(business_date), max(business_date)
            from marts.daily_store_sales
            where business_date between %s and %s
            group by store_id, currency_code
            order by store_id, currency_code
            """,
            (_first_day(last), last),
        )
        found = cursor.fetchall()
    return [
        LeftOut(store, currency, reason)
        for store, currency, first, newest in found
        if (reason := _reason(first, newest, last))
    ]


def _reason(first: date, newest: date, last: date) -> str | None:
    """Why a store that sold from a first to a newest day is not forecast; None where it is."""
    if (last - newest).days > WEEK:
        return f"nothing sold since {newest}"
    known = (last - first).days + 1
    return f"{known} days are known, a forecast needs {LEAST_DAYS}" if known < LEAST_DAYS else None


def _known_hashes(connection: PgConnection, made_on: date) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("select distinct input_hash from marts.sales_forecast where made_on = %s", (made_on,))
        return {found for (found,) in cursor.fetchall()}


def _rows(given: Input, made: Forecast) -> Iterator[dict[str, Any]]:
    """One row per day: the columns of marts.sales_forecast, but the moment."""
    best, other = made.errors
    for day, amount in made.days:
        yield {
            "made_on": given.plan.last_day,
            "store_id": given.plan.query.where["store"],
            "currency_code": given.plan.query.where["currency"],
            "business_date": day,
            "expected_amount": amount,
            "model": best.model,
            "off_by_amount": best.mae,
            "off_by_share": best.wape,
            "other_model": other.model,
            "other_off_by_amount": other.mae,
            "other_off_by_share": other.wape,
            "tested_days": made.tested_days,
            "says": made.says,
            "plan_id": given.plan.plan_id,
            "input_hash": given.hash,
        }


def _write(connection: PgConnection, made_on: date, hashes: list[str], rows: list[dict[str, Any]]) -> int:
    """The rows in the place of what else was made on that day; what was made from days as they are (hashes) stays."""
    with connection.cursor() as cursor:
        cursor.execute("create temporary table forecast_days (like marts.sales_forecast) on commit drop")
        cursor.execute("alter table forecast_days alter column made_at set default now()")
        if rows:
            target = sql.SQL("insert into forecast_days ({}) values %s").format(
                sql.SQL(", ").join(map(sql.Identifier, rows[0]))
            )
            extras.execute_values(cursor, target, [tuple(row.values()) for row in rows], page_size=1000)
        cursor.execute(
            """
            create temporary table forecasts_to_replace on commit drop as
            select distinct made_on, store_id, currency_code
            from marts.sales_forecast
            where made_on = %s and input_hash <> all (%s)
            """,
            (made_on, hashes),
        )
    return merge(connection, SALES_FORECAST, {}, sql.SQL("select * from forecast_days"))


# --- reading -------------------------------------------------------------------------------------------------


def read_outlook(settings: Settings, today: date) -> Outlook:
    """What is expected of every store, as it was made last, beside what came; as role bi."""
    with connect(settings, "bi") as connection:
        last = _last_day(connection, today)
        if last is None:
            return Outlook()
        kept = _kept_rows(connection, last)
        sold = _sold(connection, last)
        left_out = _left_out(connection, last)
    newest = max((row["made_on"] for row in kept), default=None)
    stores = {(row["store_id"], row["currency_code"]): row for row in kept if row["made_on"] == newest}
    expected = [
        _expected([row for row in kept if (row["store_id"], row["currency_code"]) == key], sold.get(key, {}), last)
        for key in stores
    ]
    return Outlook(tuple(expected), tuple(each for each in left_out if (each.store, each.currency_code) not in stores))


def _kept_rows(connection: PgConnection, last: date) -> list[dict[str, Any]]:
    """
    What was made last, and what was said before of the newest days that have come.

    What was made after the last day known was made from days that have been taken back since.
    """
    with connection.cursor(cursor_factory=extras.RealDictCursor) as cursor:
        cursor.execute(
            """
            select * from marts.sales_forecast
            where made_on = (select max(made_on) from marts.sales_forecast where made_on <= %(last)s)
                or business_date between %(first)s and %(last)s
            order by store_id, currency_code, business_date, made_on
            """,
            {"first": last - timedelta(days=HORIZON - 1), "last": last},
        )
        return [dict(row) for row in cursor.fetchall()]


def _sold(connection: PgConnection, last: date) -> dict[tuple[str, str], Sold]:
    """The revenue of each store's newest days."""
    found: dict[tuple[str, str], Sold] = {}
    plan = _revenue(last - timedelta(days=SHOWN_DAYS - 1), last, by=("day", "store"))
    for row in read_rows(connection, plan):
        found.setdefault((row["store"], row[CURRENCY]), {})[row["day"]] = row["value"]
    return found


def _expected(rows: Sequence[dict[str, Any]], sold: Sold, last: date) -> Expected:
    """One store, from its kept rows in the order of their days."""
    newest = max(row["made_on"] for row in rows)
    made = [row for row in rows if row["made_on"] == newest]
    met = [
        Met(row["business_date"], row["made_on"], row["expected_amount"], amount)
        for row in rows
        if 0 <= (last - row["business_date"]).days < HORIZON
        and (amount := sold.get(row["business_date"], Decimal(0))) is not None
    ]
    shown = (last - timedelta(days=back) for back in range(SHOWN_DAYS - 1, -1, -1))
    history = ((day, sold.get(day, Decimal(0))) for day in shown)
    return Expected(
        made[0]["store_id"],
        made[0]["currency_code"],
        newest,
        made[0]["made_at"],
        made[0]["model"],
        made[0]["says"],
        tuple(
            Error(made[0][f"{which}model"], made[0][f"{which}off_by_amount"], made[0][f"{which}off_by_share"])
            for which in ("", "other_")
        ),
        made[0]["tested_days"],
        made[0]["plan_id"],
        tuple((row["business_date"], row["expected_amount"]) for row in made),
        tuple((day, amount) for day, amount in history if amount is not None),
        _since(met),
        tuple({each.day: each for each in met}.values()),
    )


def _since(met: Sequence[Met]) -> Since | None:
    if not met:
        return None
    off = sum((abs(each.expected - each.sold) for each in met), Decimal(0))
    sold = sum((abs(each.sold) for each in met), Decimal(0))
    return Since(
        len({each.day for each in met}),
        len(met),
        (off / len(met)).quantize(Decimal("0.01")),
        (off / sold).quantize(Decimal("0.0001")) if sold else None,
    )
