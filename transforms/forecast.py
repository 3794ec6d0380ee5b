"""
What the sales of the next days may be: exponential smoothing with a weekly season, only where it beats the plain guess.

Comes in: revenue by day and store from the marts. Goes out: a forecast per store with its error. Each model is tested
on days it has not seen, from several starting points; where it isn't better than 'as on the same weekday a week ago',
that guess is the forecast and the answer says so. Forecasts are floats, rounded when shown; they are no amounts.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

import numpy as np
import pandas as pd
from statsmodels.tools.sm_exceptions import ConvergenceWarning
from statsmodels.tsa.holtwinters import ExponentialSmoothing

from panpan.errors import UsageError
from panpan.settings import Settings
from transforms.compiler import Query, compile_query, evaluate
from transforms.metrics import CURRENCY

WEEK = 7
HORIZON = 14
ORIGINS = 6
LEAST_DAYS = 8 * WEEK + HORIZON
LONGEST_HISTORY = 400

Model = Literal["seasonal naive", "exponential smoothing"]
MODELS: tuple[Model, ...] = ("seasonal naive", "exponential smoothing")


@dataclass(frozen=True)
class Error:
    """How far a model was off in the back-test: mae in the currency a day, wape as a share of what was sold."""

    model: Model
    mae: float
    wape: float | None


@dataclass(frozen=True)
class Forecast:
    """A store's next days. errors: one per model, the chosen one first; days: (day, amount)."""

    store: str
    currency_code: str
    last_known: date
    model: Model
    says: str
    errors: tuple[Error, ...]
    days: tuple[tuple[date, Decimal], ...]
    history: tuple[tuple[date, Decimal], ...]
    tested_days: int


def forecast_sales(settings: Settings, today: date, store: str | None = None) -> list[Forecast]:
    """
    The next two weeks' revenue of each store, or of one. Stores with too little history are left out.

    Errors: UsageError when no store has enough days for a test.
    """
    where = {"store": store} if store else {}
    answer = evaluate(settings, compile_query(Query("revenue", ("day", "store"), where), today))
    if not answer.rows:
        raise UsageError("no sales are known", cause=f"of store {store}" if store else None)
    frame = pd.DataFrame(answer.rows)
    last = min(frame["day"].max(), today - timedelta(days=1))  # today is not over
    found = []
    for (name, currency), rows in frame.groupby(["store", CURRENCY]):
        series = _daily(rows, last)
        if len(series) >= LEAST_DAYS:
            found.append(_forecast(str(name), str(currency), series))
    if not found:
        raise UsageError(f"a forecast needs {LEAST_DAYS} days of sales", cause="no store has as many")
    return found


def _daily(rows: pd.DataFrame, last: date) -> pd.Series:
    """Revenue of each day up to the last one known; a day without sales is 0. A store that closed ends where it did."""
    series = pd.Series(rows["value"].astype(float).to_numpy(), index=pd.to_datetime(rows["day"]))
    end = min(pd.Timestamp(last), series.index.max() + pd.Timedelta(days=WEEK))
    days = pd.date_range(series.index.min(), end, freq="D")
    return series.reindex(days, fill_value=0.0).tail(LONGEST_HISTORY)


def _forecast(store: str, currency: str, series: pd.Series) -> Forecast:
    errors = sorted((_tested(model, series) for model in MODELS), key=lambda each: each.mae)
    naive = next(each for each in errors if each.model == "seasonal naive")
    best = errors[0] if errors[0].mae < naive.mae else naive
    first = series.index[-1].date() + timedelta(days=1)
    values = predict(best.model, series, HORIZON)
    return Forecast(
        store,
        currency,
        series.index[-1].date(),
        best.model,
        _says(best, naive),
        (best, *(each for each in errors if each is not best)),
        tuple((first + timedelta(days=place), _rounded(value)) for place, value in enumerate(values)),
        tuple((day.date(), _rounded(value)) for day, value in series.tail(8 * WEEK).items()),
        ORIGINS * HORIZON,
    )


def _says(best: Error, naive: Error) -> str:
    if best is naive:
        return "no model was better than 'as on the same weekday a week ago', so that is the forecast"
    return f"{100 * (1 - best.mae / naive.mae):.0f} % less off than 'as on the same weekday a week ago'"


def _rounded(value: float) -> Decimal:
    return Decimal(str(round(value, 2)))


def _tested(model: Model, series: pd.Series) -> Error:
    """
    The model's error over several stretches of days, each forecast from the days before it alone.

    The stretches lie one behind the other and end with the last day known.
    """
    off, sold = [], []
    for origin in range(ORIGINS, 0, -1):
        end = len(series) - origin * HORIZON
        known, seen = series.iloc[:end], series.iloc[end : end + HORIZON]
        if len(known) < 4 * WEEK:
            continue
        off.append(np.abs(predict(model, known, HORIZON) - seen.to_numpy()))
        sold.append(np.abs(seen.to_numpy()))
    wrong, total = np.concatenate(off), float(np.concatenate(sold).sum())
    return Error(model, round(float(wrong.mean()), 2), round(float(wrong.sum()) / total, 4) if total else None)


def predict(model: Model, known: pd.Series, days: int) -> np.ndarray:
    """The next days by a model, from the days known; never below 0."""
    if model == "seasonal naive":
        return np.resize(known.to_numpy()[-WEEK:], days)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a model that has not settled loses the test by itself
        fitted = ExponentialSmoothing(
            known.to_numpy(), trend=None, seasonal="add", seasonal_periods=WEEK, initialization_method="estimated"
        ).fit()
    ahead: np.ndarray = np.clip(fitted.forecast(days), 0, None)
    return ahead
