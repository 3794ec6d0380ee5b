"""The models against made-up stores: the better one is chosen, and where none is better the page says so."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from panpan.settings import CHECKOUT
from transforms import forecast
from transforms.forecast import HORIZON, LEAST_DAYS, ORIGINS, WEEK

WEEKDAYS = np.array([100, 110, 120, 130, 180, 220, 60], dtype=float)


def series(values: np.ndarray) -> pd.Series:
    return pd.Series(values, index=pd.date_range("2026-01-05", periods=len(values), freq="D"))


def noisy_weeks(weeks: int, noise: float, seed: int = 1) -> np.ndarray:
    return np.tile(WEEKDAYS, weeks) + np.random.default_rng(seed).normal(0, noise, weeks * WEEK)


def test_naive_model_repeats_the_last_week() -> None:
    known = series(np.arange(28, dtype=float))

    assert list(forecast.predict("seasonal naive", known, 9)) == [21, 22, 23, 24, 25, 26, 27, 21, 22]


def test_noise_is_smoothed_so_the_model_beats_the_guess() -> None:
    found = forecast.forecast(series(noisy_weeks(30, 25)))

    errors = {error.model: error for error in found.errors}
    assert found.model == "exponential smoothing"
    assert errors["exponential smoothing"].mae < errors["seasonal naive"].mae
    assert found.errors[0].model == found.model
    assert "less off" in found.says


def test_where_nothing_is_better_the_plain_guess_is_the_forecast() -> None:
    found = forecast.forecast(series(np.tile(WEEKDAYS, 20)))

    assert (found.model, found.errors[0].mae) == ("seasonal naive", 0)
    assert found.says.startswith("no model was better")
    assert [float(amount) for _, amount in found.days] == list(np.tile(WEEKDAYS, 2))


def test_test_days_are_never_known_to_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    values = noisy_weeks(20, 5)
    seen: list[int] = []

    def spy(model: forecast.Model, known: pd.Series, days: int) -> np.ndarray:
        seen.append(len(known))
        assert list(known) == list(values[: len(known)])
        return np.zeros(days)

    monkeypatch.setattr(forecast, "predict", spy)
    error = forecast._tested("seasonal naive", series(values))

    assert seen == [len(values) - place * HORIZON for place in range(ORIGINS, 0, -1)]
    assert error.mae == Decimal(f"{np.abs(values[-ORIGINS * HORIZON :]).mean():.2f}")
    assert error.wape == 1


def test_a_day_without_sales_is_zero_and_today_is_not_over() -> None:
    rows = pd.DataFrame({"day": [date(2026, 5, 1), date(2026, 5, 3), date(2026, 5, 4)], "value": [1, 3, 4]})

    known = forecast.daily(rows, date(2026, 5, 3))

    assert list(known) == [1, 0, 3]


def test_a_day_of_unknown_amount_is_taken_as_a_week_before() -> None:
    days = [date(2026, 5, 1) + timedelta(days=count) for count in range(9)]
    rows = pd.DataFrame({"day": days, "value": [None, *map(Decimal, range(1, 8)), None]})

    assert list(forecast.daily(rows, days[-1])) == [0, 1, 2, 3, 4, 5, 6, 7, 1]


@pytest.mark.parametrize(("days", "tested"), [(LEAST_DAYS, 42), (84, 56), (100, 70), (112, 84), (300, 84)])
def test_a_short_history_is_tested_on_as_many_days_as_there_are(days: int, tested: int) -> None:
    assert forecast.forecast(series(noisy_weeks(50, 5)[:days])).tested_days == tested


def test_a_day_that_took_more_back_than_it_sold_is_no_forecast_below_zero() -> None:
    known = series(np.concatenate([np.tile(WEEKDAYS, 20)[:-1], [-500.0]]))

    assert list(forecast.predict("seasonal naive", known, 7)) == [100, 110, 120, 130, 180, 220, 0]


def test_a_store_that_sells_nothing_is_no_error() -> None:
    found = forecast.forecast(series(np.zeros(120)))

    assert [(error.mae, error.wape) for error in found.errors] == [(0, None), (0, None)]
    assert {amount for _, amount in found.days} == {0}


def test_the_library_is_loaded_only_where_a_forecast_is_made() -> None:
    program = "import sys, panpan.web.app, panpan.scheduler, panpan.cli.forecast; print('statsmodels' in sys.modules)"

    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=CHECKOUT)
    assert told.stdout.strip() == "False"
