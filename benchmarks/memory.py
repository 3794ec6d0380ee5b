"""
The most memory a transform process ever holds, by the size of the file.

Comes in: sizes in lines. Goes out: MiB and seconds of each. The server's memory is not counted: its settings bound it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks import scratch
from benchmarks.load import Talk
from benchmarks.measure import load_average, machine
from benchmarks.ours import run_ours
from panpan.simulate.big_export import big_export

LIMIT_MIB = 1024


def bench_memory(sizes: Sequence[int], talk: Talk) -> dict[str, Any]:
    """Load a file of each size into an empty warehouse, each in a process of its own."""
    rows = []
    with scratch.scratch_server() as server:
        for lines in sorted(sizes):
            talk(f"loading {lines} lines")
            settings = scratch.fresh_database(server, "bench")
            file = settings.archive / "pos" / f"items-{lines}.csv"
            file.parent.mkdir(parents=True, exist_ok=True)
            big_export(file, lines)
            scratch.register_file(settings, file)
            found = run_ours(settings)
            rows.append(
                {
                    "lines": lines,
                    "file_mib": file.stat().st_size // 2**20,
                    "peak_mib": found["peak_mib"],
                    "is_within_limit": found["peak_mib"] <= LIMIT_MIB,
                    "seconds": found["seconds"],
                    "load": load_average(),
                }
            )
            file.unlink()
            scratch.drop_database(server, "bench")
        return {"limit_mib": LIMIT_MIB, "sizes": rows, "machine": machine(server)}
