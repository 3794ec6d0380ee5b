"""
A stateful, strict stand-in for a Metabase server. Tests load this file as the module `metabase_double`: the folders
of tests are no packages, so that none can take the place of a real one.
"""

from __future__ import annotations

from metabase_double.server import Direct, Double, build_app, serve
from metabase_double.state import ADMINISTRATORS, ALL_USERS, WAREHOUSE, Metabase, Refuse

__all__ = ["ADMINISTRATORS", "ALL_USERS", "WAREHOUSE", "Direct", "Double", "Metabase", "Refuse", "build_app", "serve"]
