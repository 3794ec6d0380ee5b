"""Forecasts as a mart: kept as worked out, made again only where days changed, and compared with what came by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from starlette.requests import Request
from typer.testing import CliRunner

from db.connection import connect
from metabase.parameters import Filters
from metabase.preview import Preview
from panpan import demo
from panpan.cli.app import assembled
from panpan.errors import UsageError
from panpan.scheduler import Worker
from panpan.settings import Settings
from panpan.web.app import Pages
from transforms import sales_forecast
from transforms.forecast import HORIZON, LEAST_DAYS, Error, forecast
from transforms.run import run
from transforms.sales_forecast import LeftOut, Since, read_outlook, refresh_forecast
from transforms.trace import trace

app = assembled()
TILL = "Transaction ID,Event Type,Date,Time,Location,SKU,Item,Qty,Gross Sales,Discounts,Net Sales,Tax,Customer ID\n"
FIRST = date(2025, 3, 3)
LAST = FIRST + timedelta(days=99)
TODAY = LAST + timedelta(days=1)
WEEKDAYS = (300, 310, 330, 360, 480, 560, 240)
Days = Mapping[date, Decimal]


def later(days: int) -> date:
    return LAST + timedelta(days=days)


def noisy(days: int, seed: int) -> Days:
    """What a store with weekdays sells, the last day being LAST."""
    noise = np.random.default_rng(seed).integers(-60, 60, days)
    first = LAST - timedelta(days=days - 1)
    return {
        first + timedelta(days=n): Decimal(WEEKDAYS[(first + timedelta(days=n)).weekday()]) + int(noise[n]) / Decimal(4)
        for n in range(days)
    }


def flat(days: int, amount: int = 100) -> Days:
    return {LAST - timedelta(days=n): Decimal(amount) for n in reversed(range(days))}


CENTRO, NORTE = noisy(100, 1), noisy(90, 2)


@pytest.fixture
def sell(warehouse: Settings, deliver: Any) -> Any:
    """Takes what stores sold on days into the model: store -> day -> amount, a receipt each."""
    numbers = iter(range(10**6))

    def sold(**stores: Days) -> None:
        lines = [
            f"R{next(numbers)},Payment,{day},12:00:00,PanPan {store.title()},BUN,Bun,1,{amount},0,{amount},0,\n"
            for store, days in stores.items()
            for day, amount in days.items()
        ]
        deliver("pos", TILL + "".join(lines), settings=warehouse)
        assert run(warehouse).refusals == []

    return sold


@pytest.fixture
def kept(warehouse: Settings, ask: Any) -> Any:
    """Every kept row as text, of a day it was made on or of all; with the moment."""

    def rows(made_on: date | None = None, store: str | None = None) -> list[str]:
        statement = (
            "select kept::text from marts.sales_forecast as kept "
            "where made_on = coalesce(%s, made_on) and store_id = coalesce(%s, store_id) order by 1"
        )
        return [text for (text,) in ask(statement, made_on, store)]

    return rows


def test_kept_forecast_is_the_one_worked_out(warehouse: Settings, sell: Any, ask: Any) -> None:
    sell(centro=CENTRO, norte=NORTE)

    assert refresh_forecast(warehouse, TODAY) == 2 * HORIZON
    for store, days in (("centro", CENTRO), ("norte", NORTE)):
        made = forecast(pd.Series([float(each) for each in days.values()], index=pd.to_datetime(list(days))))
        best, other = made.errors
        assert best.mae < other.mae
        rows = ask(
            "select made_on, currency_code, business_date, expected_amount, model, off_by_amount, off_by_share, "
            "other_model, other_off_by_amount, other_off_by_share, tested_days, says from marts.sales_forecast "
            "where store_id = %s order by business_date",
            store,
        )
        assert rows == [
            (LAST, "EUR", day, amount, *_error(best), *_error(other), made.tested_days, made.says)
            for day, amount in made.days
        ]
        [each] = [each for each in read_outlook(warehouse, TODAY).stores if each.store == store]
        assert (each.days, each.errors, each.says) == (made.days, made.errors, made.says)
        assert each.history == tuple(days.items())[-56:]


def _error(error: Error) -> tuple[str, Decimal, Decimal | None]:
    return error.model, error.mae, error.wape


def test_input_of_a_forecast_leads_to_its_receipts(warehouse: Settings, sell: Any) -> None:
    sell(centro=CENTRO, norte=NORTE)
    refresh_forecast(warehouse, TODAY)

    for each in read_outlook(warehouse, TODAY).stores:
        days = {"centro": CENTRO, "norte": NORTE}[each.store]
        found = trace(warehouse, f"plan:{each.plan_id}", TODAY)
        assert (found.value, found.is_equal, found.receipts) == (sum(days.values()), True, len(days))


def test_second_refresh_changes_nothing_and_works_nothing_out(
    warehouse: Settings, sell: Any, kept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sell(centro=CENTRO, norte=NORTE)
    refresh_forecast(warehouse, TODAY)
    before = kept()
    monkeypatch.delattr(sales_forecast, "forecast")

    assert refresh_forecast(warehouse, TODAY) == 0
    assert refresh_forecast(warehouse, TODAY + timedelta(days=3)) == 0, "no day has come"
    assert kept() == before


def test_correction_makes_the_newest_forecast_of_its_store_again(warehouse: Settings, sell: Any, kept: Any) -> None:
    sell(centro=CENTRO, norte=NORTE)
    refresh_forecast(warehouse, TODAY)
    earlier = kept(LAST)
    sell(centro={later(1): Decimal(300)}, norte={later(1): Decimal(310)})
    refresh_forecast(warehouse, TODAY + timedelta(days=1))
    norte, centro = kept(later(1), "norte"), kept(later(1), "centro")

    sell(centro={LAST - timedelta(days=3): Decimal(5000)})

    assert refresh_forecast(warehouse, TODAY + timedelta(days=1)) == HORIZON
    assert kept(LAST) == earlier, "what was expected then stays"
    assert kept(later(1), "norte") == norte
    again = kept(later(1), "centro")
    assert len(again) == HORIZON
    assert not set(again) & set(centro)


def test_forecast_of_days_taken_back_stays_and_is_not_shown(warehouse: Settings, sell: Any, kept: Any) -> None:
    sell(centro=CENTRO)
    refresh_forecast(warehouse, TODAY)
    before = kept()

    assert refresh_forecast(warehouse, LAST) == HORIZON
    [shown] = read_outlook(warehouse, LAST).stores
    assert shown.made_on == LAST - timedelta(days=1)
    assert kept(LAST) == before


def test_real_error_is_that_of_every_forecast_of_a_day_that_came(warehouse: Settings, sell: Any) -> None:
    """Forecasts after LAST and the day after, three days come: 110, 94 and, of Centro alone, none."""
    sell(centro=flat(80), norte=flat(80, 200))
    refresh_forecast(warehouse, TODAY)
    assert [each.since for each in read_outlook(warehouse, TODAY).stores] == [None, None]
    for number, amount in enumerate((110, 94), start=1):
        sell(centro={later(number): Decimal(amount)}, norte={later(number): Decimal(200)})
        if number == 1:
            refresh_forecast(warehouse, later(2))
    sell(norte={later(3): Decimal(230)})

    centro, norte = read_outlook(warehouse, later(4)).stores

    # expected 100 on each day, by both: 110 (once, 10 off), 94 (twice, 6 off), 0 (twice, 100 off)
    assert centro.since == Since(days=3, forecasts=5, mae=Decimal("44.40"), wape=Decimal("0.7450"))
    assert [(each.day, each.made_on, each.expected, each.sold) for each in centro.met] == [
        (later(1), LAST, 100, 110),
        (later(2), later(1), 100, 94),
        (later(3), later(1), 100, 0),
    ]
    # expected 200: right on two days (once and twice), 30 off on the third (twice)
    assert norte.since == Since(days=3, forecasts=5, mae=Decimal("12.00"), wape=Decimal("0.0566"))
    assert (centro.errors[0].mae, centro.tested_days) == (Decimal("0.24"), 42), "10 off on one day of the test"


def test_only_the_last_14_days_count_in_the_real_error(warehouse: Settings, sell: Any) -> None:
    sell(centro=flat(80))
    refresh_forecast(warehouse, TODAY)
    sell(centro={later(number): Decimal(100 + number) for number in range(1, 19)})

    [centro] = read_outlook(warehouse, later(19)).stores

    # days 5 to 18 are the last 14; only 5 to 14 were forecast: off by 5 to 14
    assert centro.since == Since(days=10, forecasts=10, mae=Decimal("9.50"), wape=Decimal("0.0868"))
    assert centro.made_on == LAST, "nothing was made since"


def test_store_that_can_not_be_forecast_is_left_out_and_said(warehouse: Settings, sell: Any, ask: Any) -> None:
    silent = LAST - timedelta(days=8)
    closed = {day: amount for day, amount in NORTE.items() if day <= silent}
    sell(centro=CENTRO, norte=closed, playa=flat(LEAST_DAYS - 1))

    refresh_forecast(warehouse, TODAY)

    found = read_outlook(warehouse, TODAY)
    assert [each.store for each in found.stores] == ["centro"]
    assert found.left_out == (
        LeftOut("norte", "EUR", f"nothing sold since {silent}"),
        LeftOut("playa", "EUR", "69 days are known, a forecast needs 70"),
    )
    assert ask("select distinct store_id from marts.sales_forecast") == [("centro",)]


def test_store_that_goes_silent_leaves_the_newest_forecast(warehouse: Settings, sell: Any, ask: Any) -> None:
    sell(centro=CENTRO, norte=NORTE)
    refresh_forecast(warehouse, TODAY)
    sell(centro={later(8): Decimal(300)})

    refresh_forecast(warehouse, later(9))

    assert [each.store for each in read_outlook(warehouse, later(9)).stores] == ["centro"]
    assert ask("select made_on, store_id, count(*) from marts.sales_forecast group by 1, 2 order by 1, 2") == [
        (LAST, "centro", HORIZON),
        (LAST, "norte", HORIZON),
        (later(8), "centro", HORIZON),
    ]


def test_two_refreshes_at_once_end_equal(warehouse: Settings, sell: Any, kept: Any) -> None:
    sell(centro=CENTRO, norte=NORTE)

    with ThreadPoolExecutor(2) as pool:
        written = sorted(pool.map(lambda _: refresh_forecast(warehouse, TODAY), range(2)))

    assert written == [0, 2 * HORIZON], "the second finds what the first made"
    assert len(kept()) == 2 * HORIZON
    assert refresh_forecast(warehouse, TODAY) == 0


def test_business_without_sales_has_no_forecast_and_no_error(warehouse: Settings) -> None:
    assert refresh_forecast(warehouse, TODAY) == 0
    assert read_outlook(warehouse, TODAY) == sales_forecast.Outlook()
    assert "No forecast is kept yet" in page(warehouse)


def test_only_the_worker_writes_forecasts(warehouse: Settings) -> None:
    for role in ("bi", "web", "loader"):
        with (
            pytest.raises(Exception, match=r"permission denied|read-only"),
            connect(warehouse, role) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("delete from marts.sales_forecast")


def page(settings: Settings) -> str:
    scope = {"type": "http", "method": "GET", "path": "/forecast", "query_string": b"", "headers": []}
    return bytes(Pages(settings, Preview(settings)).forecast(Request(scope)).body).decode()


@pytest.fixture
def met(warehouse: Settings, sell: Any) -> Settings:
    """Two stores with a forecast that has met a day, and one too young for one."""
    sell(centro=CENTRO, norte=NORTE, playa=flat(10))
    refresh_forecast(warehouse, TODAY)
    sell(centro={later(1): Decimal(300)}, norte={later(1): Decimal(310)})
    refresh_forecast(warehouse, later(2))
    return warehouse


def test_page_shows_what_came_of_it_and_who_is_left_out(met: Settings) -> None:
    shown = page(met)
    centro, norte = read_outlook(met, later(2)).stores

    for each in (centro, norte):
        assert each.since is not None
        assert f"€{each.errors[0].mae}" in shown
        assert f"€{each.since.mae}" in shown
        assert f"/receipts/plan/{each.plan_id}" in shown
    assert "Playa: 11 days are known, a forecast needs 70" in shown


def test_command_says_the_same_as_the_mart(met: Settings) -> None:
    told = CliRunner().invoke(app, ["forecast", "sales", "--json", "--home", str(met.home)])
    table = CliRunner().invoke(app, ["forecast", "sales", "--store", "centro", "--home", str(met.home)])
    young = CliRunner().invoke(app, ["forecast", "sales", "--store", "playa", "--home", str(met.home)])

    answer = json.loads(told.stdout)
    found = read_outlook(met, later(2))
    for said, each in zip(answer["stores"], found.stores, strict=True):
        assert each.since is not None
        assert said["days"] == [[day.isoformat(), str(amount)] for day, amount in each.days]
        assert said["since"] == {
            "days": 1,
            "forecasts": 1,
            "mae": str(each.since.mae),
            "wape": str(each.since.wape),
        }
        assert (said["last_known"], said["plan_id"]) == (later(1).isoformat(), each.plan_id)
    assert [each["store"] for each in answer["left_out"]] == ["playa"]
    assert "since then off by" in table.stdout
    assert "norte" not in table.stdout
    assert isinstance(young.exception, UsageError)
    assert young.exception.cause == "playa: 11 days are known, a forecast needs 70"


def test_dashboard_never_shows_what_is_expected_without_its_error(met: Settings) -> None:
    card = Preview(met).question("sales_expected", Filters()).card
    centro, norte = read_outlook(met, later(2)).stores

    assert "xpected" in card.question.title
    assert card.picture is not None
    assert [name for name, _ in card.picture.legend] == [
        f"PanPan Centro, off by {centro.errors[0].mae} EUR a day",
        f"PanPan Norte, off by {norte.errors[0].mae} EUR a day",
    ]
    records = list(card.answer.records())
    assert len(records) == 2 * (HORIZON + 1), "the day that has come, and the days ahead"
    for each in records:
        assert each["off_by_amount"] is not None
        assert (each["net_amount"] is None) == (each["business_date"] > later(1))
    expected = {(each["store_id"], each["business_date"]): each["expected_amount"] for each in records}
    assert expected == {
        **{(each.store, day): amount for each in (centro, norte) for day, amount in each.days},
        **{(each.store, later(1)): each.met[0].expected for each in (centro, norte)},
    }


def test_worker_and_demo_make_it(warehouse: Settings, sell: Any, kept: Any) -> None:
    sell(centro=CENTRO)

    Worker(warehouse)._forecast()
    made = kept()
    assert len(made) == HORIZON

    demo.follow_run(warehouse)
    assert kept() == made
