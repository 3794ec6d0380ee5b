"""
What stands beside every figure: peak memory, the machine's load, versions.
"""

from __future__ import annotations

import os
import platform
import re
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import psutil

from db.connection import connect
from panpan.local import postgres
from panpan.settings import Settings


@dataclass
class Steps:
    """Seconds by step, in the order they were taken."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step; one taken twice adds up."""
        started = time.monotonic()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - started, 2)

    @property
    def total(self) -> float:
        return round(sum(self.seconds.values()), 2)


def peak_mib() -> int:
    """
    Most memory this process ever held, MiB.

    Not getrusage: its figure also counts the parent this process was forked from.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) // 1024 if found else 0


def current_mib() -> int:
    """Memory this process holds now, MiB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    return int(found[1]) // 1024 if found else 0


def load_average() -> float:
    """Processes that wanted a core, over the last minute."""
    return round(os.getloadavg()[0], 2)


def machine(settings: Settings) -> dict[str, str]:
    """What the figures were made on."""
    with connect(settings, "postgres", "postgres") as connection, connection.cursor() as cursor:
        cursor.execute("show server_version")
        [(server,)] = cursor.fetchall()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30
    return {
        "cores": str(os.cpu_count()),
        "memory": f"{memory} GiB",
        "postgresql": str(server).split()[0],
        "python": platform.python_version(),
        "pyarrow": version("pyarrow"),
        "pandas": version("pandas"),
        "psycopg2": version("psycopg2-binary"),
    }


def processor_seconds(server: Settings) -> float:
    """Processor time of this process, its ended children and the whole server: what a busy machine does not change."""
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    used = sum(usage.ru_utime + usage.ru_stime for usage in own)
    found = postgres.daemon(server).process()
    if found is None:
        return used
    postmaster = psutil.Process(found.pid)
    for process in (postmaster, *postmaster.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        used += times.user + times.system
        if process == postmaster:
            used += times.children_user + times.children_system
    return used
