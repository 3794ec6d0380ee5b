"""Moments and business days, by the zone and closing hour of the place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from transforms.contract import Contract
from transforms.formatted.columns import Faults

UTC = "datetime64[ns, UTC]"


def zone_of_rows(zone_names: pd.Series[Any] | None, contract: Contract, faults: Faults) -> pd.Series[Any] | str:
    """The IANA zone of each row, or one for all. A name nobody knows is a fault, never a guess."""
    if zone_names is None:
        return contract.time_zone
    known = {name: contract.zones.get(name, name) for name in zone_names.dropna().unique()}
    bad = [name for name, zone in known.items() if not _is_zone(zone)]
    if bad:
        faults.add(
            zone_names.isin(bad),
            f"the time zone is not known; add it to [zones] of {contract.source}",
            "zone",
            zone_names,
        )
    zones = zone_names.astype(object).map({n: z for n, z in known.items() if n not in bad}).fillna(contract.time_zone)
    unique = zones.unique()
    return str(unique[0]) if len(unique) == 1 else zones


def _is_zone(name: str) -> bool:
    try:
        pd.Timestamp("2026-01-01").tz_localize(name)
    except Exception:  # every zone library has its own error for a name it does not know
        return False
    return True


def local_to_utc(local: pd.Series[Any], zone: pd.Series[Any] | str) -> pd.Series[Any]:
    """
    Local clock times as moments.

    In the hour that occurs twice (autumn) the first one is taken, since nothing received tells which; a time in the
    hour that does not exist (spring) moves to the hour's end.
    """
    if isinstance(zone, str):
        return _localized(local, zone).dt.tz_convert("UTC")
    parts = [_localized(local[zone == name], name).dt.tz_convert("UTC") for name in zone.unique()]
    return pd.concat(parts).reindex(local.index)


def _localized(local: pd.Series[Any], zone: str) -> pd.Series[Any]:
    first = np.ones(len(local), dtype=bool)
    return local.dt.tz_localize(zone, ambiguous=first, nonexistent="shift_forward")


def utc_to_local(moments: pd.Series[Any], zone: pd.Series[Any] | str) -> pd.Series[Any]:
    """Moments as the clock on the place's wall, without zone."""
    if isinstance(zone, str):
        return moments.dt.tz_convert(zone).dt.tz_localize(None)
    parts = [moments[zone == name].dt.tz_convert(name).dt.tz_localize(None) for name in zone.unique()]
    return pd.concat(parts).reindex(moments.index)


def business_date(local: pd.Series[Any], contract: Contract) -> pd.Series[Any]:
    """The day a local time counts for: before the closing hour it is still the day before."""
    return (local - closing_delta(contract)).dt.normalize()


def closing_delta(contract: Contract) -> pd.Timedelta:
    """The closing hour as time since midnight."""
    return pd.Timedelta(hours=contract.closing_time.hour, minutes=contract.closing_time.minute)
