"""Which version of this program runs."""

from __future__ import annotations

import importlib.metadata


def own_version() -> str:
    """The version of the installed package; a checkout has none."""
    try:
        return importlib.metadata.version("panpan")
    except importlib.metadata.PackageNotFoundError:
        return "checkout"
