"""
What is defined in files (metrics, contracts, rules, checks, alerts, roles), and what changed since it was last noted.

Comes in: the program's files and the home's own. Goes out: changes in the log, each with its text before and after.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from db.connection import connect
from panpan.governance.log import Change, Entry, append, person
from panpan.settings import CHECKOUT, Settings

NOTICED = "noticed when the program ran"
FOLDERS: dict[str, tuple[str, ...]] = {
    "metric": ("transforms/metrics/*.yaml",),
    "goal": ("transforms/goals/*.yaml",),
    "contract": ("transforms/sources/*.toml",),
    "rule": ("transforms/rules/*.py",),
    "check": ("transforms/checks/**/*.*", "transforms/quality/**/*.*"),
    "alert": ("metabase/alerts/**/*.*", "panpan/alerting/**/*.yaml"),
    "dashboard": ("metabase/dashboards/*.yaml", "metabase/questions/*.*"),
    "role": ("db/access.yaml", "db/pii.yaml", "db/roles.sql"),
    "vocabulary": ("panpan/ask/vocabulary.yaml",),
}
OWN_FOLDERS: dict[str, tuple[str, ...]] = {"metric": ("metrics/*.yaml",), "contract": ("sources/*.toml",)}
OWN = "home/"


def read_definitions(settings: Settings) -> dict[tuple[str, str], str]:
    """Text by (kind, file); files of the home begin with home/."""
    shipped = {(kind, name): text for kind, name, text in _files(CHECKOUT, FOLDERS)}
    own = {(kind, f"{OWN}{name}"): text for kind, name, text in _files(settings.home, OWN_FOLDERS)}
    return {**shipped, **own}


def _files(root: Path, folders: dict[str, tuple[str, ...]]) -> list[tuple[str, str, str]]:
    return [
        (kind, path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))
        for kind, patterns in folders.items()
        for pattern in patterns
        for path in sorted(root.glob(pattern))
        if path.is_file() and "__pycache__" not in path.parts
    ]


def record(settings: Settings, who: str | None = None, why: str | None = None) -> list[Entry]:
    """Note every definition that is not as it was noted last. A second run notes nothing."""
    now, noted = read_definitions(settings), _noted(settings)
    changes = [
        Change(*key, noted.get(key), now.get(key))
        for key in sorted({*now, *noted})
        if noted.get(key) != now.get(key) and key[0] in FOLDERS
    ]
    return append(settings, changes, who or person(), why or NOTICED)


def _noted(settings: Settings) -> dict[tuple[str, str], str | None]:
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            select distinct on (kind, subject) kind, subject, after
            from ops.change_log
            where kind = any(%s)
            order by kind asc, subject asc, change_id desc
            """,
            (list(FOLDERS),),
        )
        return {(kind, subject): after for kind, subject, after in cursor.fetchall()}


def difference(entry: Entry) -> str:
    """What changed, line by line."""
    before, after = ((text or "").splitlines() for text in (entry.before, entry.after))
    return "\n".join(difflib.unified_diff(before, after, "before", "after", lineterm="", n=1))
