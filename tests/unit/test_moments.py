"""Clock times as moments: the two odd nights in Madrid, closing hours, zones nobody knows."""

from __future__ import annotations

from datetime import time

import pandas as pd
import pytest

from transforms.contract import Contract, find_contract
from transforms.formatted import moments
from transforms.formatted.columns import Faults
from transforms.formatted.values import TEXT

MADRID = "Europe/Madrid"


@pytest.fixture
def till() -> Contract:
    """A contract in Madrid that closes at four and knows one zone by another name."""
    return find_contract("pos").model_copy(update={"closing_time": time(4), "zones": {"Eastern": "America/New_York"}})


def local(*clock: str | None) -> pd.Series:
    return pd.Series(pd.to_datetime(list(clock)))


def utc(*clock: str) -> list[pd.Timestamp]:
    return [pd.Timestamp(text, tz="UTC") for text in clock]


@pytest.mark.parametrize(
    ("clock", "moment"),
    [
        ("2026-01-15 12:00", "2026-01-15 11:00"),
        ("2026-07-15 12:00", "2026-07-15 10:00"),
        ("2026-03-29 01:59:59", "2026-03-29 00:59:59"),
        ("2026-03-29 02:00", "2026-03-29 01:00"),  # this hour does not exist: its end is meant
        ("2026-03-29 02:30", "2026-03-29 01:00"),
        ("2026-03-29 03:00", "2026-03-29 01:00"),
        ("2026-10-25 01:59:59", "2026-10-24 23:59:59"),
        ("2026-10-25 02:00", "2026-10-25 00:00"),  # this hour comes twice: the first is meant
        ("2026-10-25 02:59:59", "2026-10-25 00:59:59"),
        ("2026-10-25 03:00", "2026-10-25 02:00"),
    ],
)
def test_madrid_s_clock_as_utc(clock: str, moment: str) -> None:
    assert list(moments.local_to_utc(local(clock), MADRID)) == utc(moment)


def test_every_minute_of_both_nights_finds_a_moment_and_none_runs_backwards() -> None:
    for night in ("2026-03-29", "2026-10-25"):
        clock = pd.Series(pd.date_range(night, periods=24 * 60, freq="min"))

        found = moments.local_to_utc(clock, MADRID)

        assert found.notna().all()
        assert found.is_monotonic_increasing


def test_no_time_stays_no_time() -> None:
    assert moments.local_to_utc(local(None, "2026-07-15 12:00"), MADRID).isna().tolist() == [True, False]


def test_each_row_by_its_own_zone_in_its_own_place() -> None:
    zones = pd.Series([MADRID, "America/New_York", MADRID], index=[7, 3, 5])
    clock = pd.Series(pd.to_datetime(["2026-07-15 12:00"] * 3), index=[7, 3, 5])

    found = moments.local_to_utc(clock, zones)
    back = moments.utc_to_local(found, zones)

    assert list(found) == utc("2026-07-15 10:00", "2026-07-15 16:00", "2026-07-15 10:00")
    assert list(found.index) == [7, 3, 5]
    assert list(back) == list(clock)


@pytest.mark.parametrize(
    ("clock", "day"),
    [
        ("2026-07-15 03:59:59", "2026-07-14"),
        ("2026-07-15 04:00:00", "2026-07-15"),
        ("2026-07-15 23:59:59", "2026-07-15"),
        ("2026-07-01 00:30", "2026-06-30"),
        ("2026-01-01 00:30", "2025-12-31"),
        ("2028-03-01 00:30", "2028-02-29"),
    ],
)
def test_before_the_closing_hour_it_is_still_the_day_before(till: Contract, clock: str, day: str) -> None:
    assert list(moments.business_date(local(clock), till)) == [pd.Timestamp(day)]


def test_without_a_closing_hour_the_day_ends_at_midnight(till: Contract) -> None:
    open_all_night = till.model_copy(update={"closing_time": time(0)})

    assert list(moments.business_date(local("2026-07-15 00:00"), open_all_night)) == [pd.Timestamp("2026-07-15")]


def zones_of(contract: Contract, *names: str | None) -> tuple[pd.Series | str, Faults]:
    received = pd.Series(list(names), dtype=TEXT)
    faults = Faults.none_yet(received.index)
    return moments.zone_of_rows(received, contract, faults), faults


def test_a_zone_is_known_by_its_own_or_the_contract_s_name(till: Contract) -> None:
    zones, faults = zones_of(till, "Eastern", "Europe/Lisbon", None)

    assert list(zones) == ["America/New_York", "Europe/Lisbon", MADRID]
    assert not faults.found.any()


def test_rows_of_one_zone_give_one_name(till: Contract) -> None:
    assert zones_of(till, "Eastern", "Eastern")[0] == "America/New_York"
    assert zones_of(till, None)[0] == MADRID
    assert moments.zone_of_rows(None, till, Faults.none_yet(pd.RangeIndex(0))) == MADRID


@pytest.mark.parametrize(
    "name", ["Middle Earth", "../../etc/passwd", "Eastern Time (US & Canada)", "", "\x00", "x" * 5000]
)
def test_a_zone_nobody_knows_is_a_fault_that_names_the_way_out(till: Contract, name: str) -> None:
    _, faults = zones_of(till, "Eastern", name)

    assert list(faults.found) == [False, True]
    assert "[zones] of pos" in faults.reason[1]
    assert faults.value[1] == name
