"""
What all checks cost on the simulated business, by the length of its history.

Comes in: lengths in days. Goes out: seconds of a run over all days and of one over the newest 62, as the worker makes
it after each load, and the slowest check. The limit of the longest business is five seconds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from benchmarks import scratch
from benchmarks.load import Talk
from benchmarks.measure import load_average, machine
from db.connection import connect
from panpan.settings import Settings
from panpan.simulate.business import build
from transforms.quality.judge import EVER
from transforms.quality.watch import RECENT, check_all

LIMIT_SECONDS = 5.0


def bench_quality(lengths: Sequence[int], rounds: int, talk: Talk) -> dict[str, Any]:
    """Build each business, shortest first, and make all checks of it as often as there are rounds; medians count."""
    with scratch.scratch_server() as server:
        found = [_measured(server, days, rounds, talk) for days in sorted(lengths)]
        return {"limit_seconds": LIMIT_SECONDS, "lengths": found, "machine": machine(server)}


def _measured(server: Settings, days: int, rounds: int, talk: Talk) -> dict[str, Any]:
    settings = scratch.fresh_database(server)
    talk(f"building {days} days of the business")
    now = build(settings, days)
    talk(f"making the checks {2 * rounds} times")
    whole, checks = _checked(settings, now, EVER, rounds)
    recent, _ = _checked(settings, now, now.date() - RECENT, rounds)
    slowest = max(checks, key=lambda name: checks[name])
    return {
        "days": days,
        "receipts": _receipts(settings),
        "checks": len(checks),
        "seconds": whole,
        "recent_seconds": recent,
        "slowest": slowest,
        "slowest_seconds": round(checks[slowest], 2),
        "load": load_average(),
    }


def _checked(settings: Settings, now: datetime, since: date, rounds: int) -> tuple[float, dict[str, float]]:
    seconds, checks = [], {}
    for _ in range(rounds):
        started = time.monotonic()
        verdicts = check_all(settings, now, since)
        seconds.append(time.monotonic() - started)
        checks = {verdict.check.id: verdict.seconds for verdict in verdicts}
    return round(statistics.median(seconds), 2), checks


def _receipts(settings: Settings) -> int:
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from core.sales")
        [(count,)] = cursor.fetchall()
    return int(count)
