"""
Which Metabase versions may be used: dated floors below which security fixes are missing.

The floors are issue 6's, stated on 20 November 2026; docs/metabase.md says where they come from.
"""

from __future__ import annotations

import re

from metabase.client import MetabaseError

# Line -> lowest release of it that may be used.
FLOORS = {58: 24, 59: 21, 60: 17, 61: 11, 62: 9, 63: 5, 64: 0, 65: 0}
STATED_ON = "20 November 2026"
TAG = re.compile(r"v?[01]\.(\d+)\.(\d+)(?:\.\d+)*(?:-[\w.]+)?$")
CHOOSE = "use v0.64.6 or later: bring the pinned image or jar up, after a backup of Metabase's own database"


def check_version(tag: str | None) -> str | None:
    """
    Whether this version may be used; a sentence when it is newer than what was checked.

    Errors: MetabaseError with the reason when it is below the floor of its line, or can't be read.
    """
    match = TAG.match(tag or "")
    if match is None:
        raise MetabaseError(f"Metabase says its version is {tag!r}, which can't be judged", next=CHOOSE)
    line, release = int(match[1]), int(match[2])
    if line < min(FLOORS):
        raise MetabaseError(
            f"Metabase {tag} is refused",
            cause=f"lines before 0.{min(FLOORS)} get no security fixes any more, and speak of alerts otherwise",
            next=CHOOSE,
        )
    floor = FLOORS.get(line)
    if floor is not None and release < floor:
        raise MetabaseError(
            f"Metabase {tag} is refused",
            cause=f"of line 0.{line}, releases before 0.{line}.{floor} lack security fixes (as of {STATED_ON})",
            next=CHOOSE,
        )
    return None if floor is not None else f"Metabase {tag} is newer than the lines this was written for"
