"""
What the sales of the next days may be: exponential smoothing with a weekly season, only where it beats the plain guess.

Comes in: one store's revenue by day. Goes out: a forecast with its error; it is kept by transforms/sales_forecast.py.
Each model is tested on days it has not seen, from several starting points; where it isn't better than 'as on the same
weekday a week ago', that guess is the forecast and the answer says so. Forecasts are floats, rounded when given; they
are no amounts.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

import numpy as np
import pandas as pd

WEEK = 7
HORIZON = 14
ORIGINS = 6
LEAST_KNOWN = 4 * WEEK  # days a model must have seen before it is tested
LEAST_DAYS = 8 * WEEK + HORIZON
LONGEST_HISTORY = 400  # days looked at

Model = Literal["seasonal naive", "exponential smoothing"]
MODELS: tuple[Model, ...] = ("seasonal naive", "exponential smoothing")


@dataclass(frozen=True)
class Error:
    """How far a model was off in the back-test: mae in the currency a day, wape as a share of what was sold."""

    model: Model
    mae: Decimal
    wape: Decimal | None


@dataclass(frozen=True)
class Forecast:
    """A store's next days. errors: one per model, the chosen one first; days: (day, amount)."""

    model: Model
    says: str
    errors: tuple[Error, ...]
    days: tuple[tuple[date, Decimal], ...]
    tested_days: int


def forecast(known: pd.Series) -> Forecast:
    """The two weeks after the last day known. known: as `daily` gives it, LEAST_DAYS of them at least."""
    naive, smoothed = (_tested(model, known) for model in MODELS)
    best, other = (smoothed, naive) if smoothed.mae < naive.mae else (naive, smoothed)
    first = known.index[-1].date() + timedelta(days=1)
    values = predict(best.model, known, HORIZON)
    return Forecast(
        best.model,
        _says(best, naive),
        (best, other),
        tuple((first + timedelta(days=place), _rounded(value, 2)) for place, value in enumerate(values)),
        HORIZON * len(_test_ends(known)),
    )


def daily(rows: pd.DataFrame, last: date) -> pd.Series:
    """
    Revenue of each day up to the last one known, from rows of day and value; a day without sales is 0.

    A day whose amount is unknown is taken as the same weekday before, for it was not 0.
    """
    series = pd.Series(rows["value"].astype(float).to_numpy(), index=pd.to_datetime(rows["day"]))
    days = pd.date_range(series.index.min(), last, freq="D")
    series = series.reindex(days, fill_value=0.0)
    return series.fillna(series.shift(WEEK)).fillna(0.0)


def _says(best: Error, naive: Error) -> str:
    if best is naive:
        return "no model was better than 'as on the same weekday a week ago', so that is the forecast"
    return f"{100 * (1 - best.mae / naive.mae):.0f} % less off than 'as on the same weekday a week ago'"


def _rounded(value: float, places: int) -> Decimal:
    return Decimal(f"{value:.{places}f}")


def _test_ends(known: pd.Series) -> list[int]:
    """How many days are known at the start of each stretch of the test; the stretches end with the last day."""
    ends = (len(known) - origin * HORIZON for origin in range(ORIGINS, 0, -1))
    return [end for end in ends if end >= LEAST_KNOWN]


def _tested(model: Model, known: pd.Series) -> Error:
    """The model's error over several stretches of days, each forecast from the days before it alone."""
    off, sold = [], []
    for end in _test_ends(known):
        seen = known.iloc[end : end + HORIZON].to_numpy()
        off.append(np.abs(predict(model, known.iloc[:end], HORIZON) - seen))
        sold.append(np.abs(seen))
    wrong, total = np.concatenate(off), float(np.concatenate(sold).sum())
    return Error(model, _rounded(float(wrong.mean()), 2), _rounded(float(wrong.sum()) / total, 4) if total else None)


def predict(model: Model, known: pd.Series, days: int) -> np.ndarray:
    """The next days by a model, from the days known; never below 0."""
    naive = np.resize(known.to_numpy()[-WEEK:], days)
    ahead: np.ndarray = np.clip(naive if model == "seasonal naive" else _smoothed(known, days), 0, None)
    return ahead


def _smoothed(known: pd.Series, days: int) -> np.ndarray:
    # Two seconds and 100 MB: only the process that makes a forecast pays for them.
    from statsmodels.tools.sm_exceptions import ConvergenceWarning  # noqa: PLC0415
    from statsmodels.tsa.holtwinters import ExponentialSmoothing  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a model that has not settled loses the test by itself
        warnings.simplefilter("ignore", RuntimeWarning)  # so does one of days that are all the same
        fitted = ExponentialSmoothing(
            known.to_numpy(), trend=None, seasonal="add", seasonal_periods=WEEK, initialization_method="estimated"
        ).fit()
        ahead: np.ndarray = fitted.forecast(days)
    return ahead
