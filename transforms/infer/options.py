"""
What the person said about the file beforehand; each overrides a guess.
"""

from __future__ import annotations

from dataclasses import dataclass

from transforms.contract import System


@dataclass(frozen=True)
class Options:
    """system: the kind of source. time_zone, currency, owner: taken instead of a guess where given."""

    system: System = "pos"
    time_zone: str | None = None
    currency: str | None = None
    owner: str | None = None
