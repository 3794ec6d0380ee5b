"""
What it costs to lead a month's figures to their receipts, and to reconcile the month.

Comes in: how many sale lines the month has. Goes out: seconds per question, the median of the rounds; the limit of a
trace is two seconds. One dense file of three stores is loaded by the transforms themselves.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import date
from typing import Any

from benchmarks import scratch
from benchmarks.load import Talk
from benchmarks.measure import load_average, machine, processor_seconds
from db.connection import connect
from panpan.settings import Settings
from panpan.simulate.big_export import big_export
from transforms.periods import spelled
from transforms.reconcile import reconcile
from transforms.run import run
from transforms.trace import Page, trace

LIMIT_SECONDS = 2.0
PAGE = Page(0, 50)  # what a page shows of the records; totals are of all


def bench_trace(lines: int, rounds: int, talk: Talk) -> dict[str, Any]:
    """Load a month of this many lines, then ask each question as often as there are rounds; medians count."""
    with scratch.scratch_server() as server:
        settings = scratch.fresh_database(server)
        talk(f"loading {lines} lines")
        file = server.home / "month.csv"
        big_export(file, lines)
        scratch.register_file(settings, file)
        run(settings)
        period, store, days = _month(settings)
        questions: dict[str, Callable[[], Any]] = {
            f"trace metric:{what}": lambda what=what: _traced(settings, what)  # type: ignore[misc]
            for what in (
                f"revenue/{period}/store={store}",
                f"revenue/{period}",
                f"average_ticket/{period}",
                f"customers/{period}",
            )
        }
        questions[f"reconcile revenue {period}"] = lambda: reconcile(settings, "revenue", period, date.today())
        return {
            "lines": lines,
            "days": days,
            "limit_seconds": LIMIT_SECONDS,
            "questions": [_measured(server, name, ask, rounds, talk) for name, ask in questions.items()],
            "machine": machine(server),
        }


def _traced(settings: Settings, what: str) -> int:
    found = trace(settings, f"metric:{what}", date.today(), PAGE)
    if not found.is_equal:
        raise RuntimeError(f"the receipts of {what} do not give the figure")
    return found.record_count


def _measured(server: Settings, name: str, ask: Callable[[], Any], rounds: int, talk: Talk) -> dict[str, Any]:
    seconds, used = [], []
    records: int | None = None
    for _ in range(rounds):
        started, before = time.monotonic(), processor_seconds(server)
        answer = ask()
        seconds.append(time.monotonic() - started)
        used.append(processor_seconds(server) - before)
        records = answer if isinstance(answer, int) else None
    talk(f"{name}: {[round(each, 2) for each in seconds]}")
    return {
        "question": name,
        "records": records,
        "seconds": round(statistics.median(seconds), 2),
        "processor_seconds": round(statistics.median(used), 2),
        "load": load_average(),
    }


def _month(settings: Settings) -> tuple[str, str, int]:
    """The days loaded as a period, and the store with most receipts."""
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute("select min(business_date), max(business_date), count(distinct business_date) from core.sales")
        [(first, last, days)] = cursor.fetchall()
        cursor.execute("select store_id from core.sales group by store_id order by count(*) desc, store_id limit 1")
        [(store,)] = cursor.fetchall()
    return spelled(first, last), store, days
