"""The models against made-up stores: the better one is chosen, and where none is better the page says so."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from transforms import forecast
from transforms.forecast import HORIZON, ORIGINS, WEEK

WEEKDAYS = np.array([100, 110, 120, 130, 180, 220, 60], dtype=float)


def series(values: np.ndarray) -> pd.Series:
    return pd.Series(values, index=pd.date_range("2026-01-05", periods=len(values), freq="D"))


def noisy_weeks(weeks: int, noise: float, seed: int = 1) -> np.ndarray:
    return np.tile(WEEKDAYS, weeks) + np.random.default_rng(seed).normal(0, noise, weeks * WEEK)


def test_naive_model_repeats_the_last_week() -> None:
    known = series(np.arange(28, dtype=float))

    assert list(forecast.predict("seasonal naive", known, 9)) == [21, 22, 23, 24, 25, 26, 27, 21, 22]


def test_noise_is_smoothed_so_the_model_beats_the_guess() -> None:
    found = forecast._forecast("centro", "EUR", series(noisy_weeks(30, 25)))

    errors = {error.model: error for error in found.errors}
    assert found.model == "exponential smoothing"
    assert errors["exponential smoothing"].mae < errors["seasonal naive"].mae
    assert found.errors[0].model == found.model
    assert "less off" in found.says


def test_where_nothing_is_better_the_plain_guess_is_the_forecast() -> None:
    found = forecast._forecast("centro", "EUR", series(np.tile(WEEKDAYS, 20)))

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
    assert error.mae == round(float(np.abs(values[-ORIGINS * HORIZON :]).mean()), 2)
    assert error.wape == 1


def test_a_day_without_sales_is_zero_and_today_is_not_over() -> None:
    rows = pd.DataFrame({"day": [date(2026, 5, 1), date(2026, 5, 3), date(2026, 5, 4)], "value": [1, 3, 4]})

    known = forecast._daily(rows, date(2026, 5, 3))

    assert list(known) == [1, 0, 3]
