"""
One benchmark as a process: `python -m benchmarks NAME`, JSON on stdout, what it is doing on stderr.

`panpan bench` is the way in; it prints the result as a table.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys

from benchmarks.ask import bench_ask
from benchmarks.backups import bench_backups
from benchmarks.load import bench_load
from benchmarks.memory import bench_memory
from benchmarks.quality import bench_quality
from benchmarks.refresh import bench_refresh
from benchmarks.trace import bench_trace
from panpan.errors import PanpanError


def main() -> int:
    """Run the benchmark named; the exit code is that of the error, if any."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("name", choices=["load", "refresh", "memory", "backups", "trace", "ask", "quality"])
    parser.add_argument("--lines", type=int, action="append", default=[])
    parser.add_argument("--days", type=int, action="append", default=[])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--way", action="append", default=[])
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the scratch server goes too
    try:
        if given.name == "load":
            found = bench_load(given.lines[0], given.rounds, _talk, given.way)
        elif given.name == "refresh":
            found = bench_refresh(given.lines, given.rounds, _talk)
        elif given.name == "backups":
            found = bench_backups(given.lines[0], given.rounds, _talk)
        elif given.name == "trace":
            found = bench_trace(given.lines[0], given.rounds, _talk)
        elif given.name == "ask":
            found = bench_ask(given.days[0], given.rounds, _talk)
        elif given.name == "quality":
            found = bench_quality(given.days, given.rounds, _talk)
        else:
            found = bench_memory(given.lines, _talk)
    except PanpanError as error:
        found = {"error": error.message, "cause": error.explained_cause(), "next": error.next}
        sys.stdout.write(json.dumps(found))
        return error.exit_code
    sys.stdout.write(json.dumps(found))
    return 0


def _talk(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
