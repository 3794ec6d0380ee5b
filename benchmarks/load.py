"""
A full load, file to marts: ours, the limit, dlt and pandas, one after the other on one server.

Comes in: how many lines. Goes out: seconds, processor seconds, ratios, peak memory; every way must agree with the file
on each store's net total, to the cent.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks import scratch
from benchmarks.limit import run_limit
from benchmarks.measure import Steps, load_average, machine, processor_seconds
from benchmarks.ours import run_ours
from benchmarks.peers import DLT, PeerMissing, run_dlt, run_to_sql
from panpan.errors import CheckFailed
from panpan.settings import Settings
from panpan.simulate.big_export import big_export

TO_SQL_LINES = 50_000
Talk = Callable[[str], None]


@dataclass
class Way:
    """One way of loading: what it took, once per round; `scale` is 1 unless it was measured on fewer lines."""

    name: str
    does: str
    run: Callable[[Settings, Path], tuple[dict[str, float], int | None]]
    lines: int
    scale: float = 1.0


@dataclass
class Result:
    """A way's seconds and processor seconds (client and server), the median of the rounds, scaled to all lines."""

    way: Way
    seconds: list[float]
    processor_seconds: list[float]
    steps: dict[str, float]
    peak_mib: int | None
    load: float

    def row(self, ours: Result, lines: int) -> dict[str, Any]:
        """The result as it is printed; ratios are of medians of the same run."""
        taken, theirs = statistics.median(self.seconds), statistics.median(ours.seconds)
        used, theirs_used = (statistics.median(r.processor_seconds) for r in (self, ours))
        return {
            "way": self.way.name,
            "does": self.way.does,
            "seconds": round(taken, 1),
            "lines_per_second": round(lines / taken),
            "ours_takes_times": round(theirs / taken, 2),
            "processor_seconds": round(used, 1),
            "ours_uses_times": round(theirs_used / used, 2),
            "peak_mib": self.peak_mib,
            "load": self.load,
            "measured_lines": self.way.lines,
            "steps": self.steps,
        }


def bench_load(lines: int, rounds: int, talk: Talk, only: list[str] | None = None) -> dict[str, Any]:
    """
    Measure every way on the same file. Rounds take the ways in turn, so that a busy minute does not hit one alone.

    Errors: CheckFailed when the ways do not agree on what was sold.
    """
    with scratch.scratch_server() as server:
        file = server.home / f"items-{lines}.csv"
        talk(f"writing {lines} lines")
        totals = big_export(file, lines)
        results: dict[str, Result] = {}
        notes = []
        agreed: dict[int, dict[str, str]] = {}
        for round_number in range(rounds):
            for way in _ways(lines):
                if (only and way.name not in {*only, "ours"}) or (round_number and way.scale != 1):
                    continue
                talk(f"round {round_number + 1} of {rounds}: {way.name}")
                try:
                    found = _measure(server, way, file)
                except PeerMissing as missing:
                    notes.append(str(missing))
                    continue
                result, stores = found
                if agreed.setdefault(way.lines, stores) != stores:
                    raise CheckFailed(f"{way.name} has other totals", cause=f"{stores}, the others {agreed[way.lines]}")
                kept = results.setdefault(way.name, result)
                if kept is not result:
                    kept.seconds += result.seconds
                    kept.processor_seconds += result.processor_seconds
                    kept.peak_mib = max(filter(None, (kept.peak_mib, result.peak_mib)), default=None)
        net = sum(map(Decimal, agreed[lines].values()), Decimal(0))
        if net != Decimal(totals.net) / 100:
            raise CheckFailed(f"the stores' net is {net}, the file's {Decimal(totals.net) / 100}")
        return {
            "lines": lines,
            "rounds": rounds,
            "bytes": file.stat().st_size,
            "net_by_store": agreed[lines],
            "ways": [result.row(results["ours"], lines) for result in results.values()],
            "notes": notes,
            "machine": {**machine(server), "dlt": DLT.rpartition("=")[2]},
        }


def _ways(lines: int) -> list[Way]:
    few = min(lines, TO_SQL_LINES)
    return [
        Way("ours", "raw records, Parquet, rejects, core with history, marts, published figures", _ours, lines),
        Way("limit", "hand-written COPY and INSERT ... SELECT, same keys and marts", _limit, lines),
        Way("dlt", "filesystem and read_csv, then the SQL of the limit", _dlt("records"), lines),
        Way("dlt arrow", "Arrow tables as CSV, then the SQL of the limit", _dlt("arrow"), lines),
        Way(
            "to_sql",
            f"read_csv and to_sql, then the SQL of the limit; {few} lines, times {lines / few:g}",
            lambda settings, file: _timed(run_to_sql(settings, file, few)),
            few,
            lines / few,
        ),
    ]


def _ours(settings: Settings, file: Path) -> tuple[dict[str, float], int | None]:
    found = run_ours(settings)
    return {"run": found["seconds"]}, found["peak_mib"]


def _limit(settings: Settings, file: Path) -> tuple[dict[str, float], int | None]:
    return _timed(run_limit(settings, file))


def _dlt(way: str) -> Callable[[Settings, Path], tuple[dict[str, float], int | None]]:
    return lambda settings, file: _timed(run_dlt(settings, file, way))


def _timed(steps: Steps) -> tuple[dict[str, float], int | None]:
    return steps.seconds, None


def _measure(server: Settings, way: Way, file: Path) -> tuple[Result, dict[str, str]]:
    settings = scratch.fresh_database(server, "bench")
    if way.name == "ours":
        scratch.register_file(settings, file)
    used = processor_seconds(server)
    steps, peak = way.run(settings, file)
    seconds = sum(steps.values())
    used = processor_seconds(server) - used
    stores = scratch.net_by_store(settings, "marts" if way.name == "ours" else "peer")
    scratch.drop_database(server, "bench")
    load = load_average()
    scaled = {name: round(taken * way.scale, 2) for name, taken in steps.items()}
    return Result(way, [seconds * way.scale], [used * way.scale], scaled, peak, load), stores
