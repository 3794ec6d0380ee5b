"""
The backup commands as programs of their own: their memory goes with them, and a failure is an exit code and words.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from panpan.errors import MigrationError
from panpan.settings import Settings

WITHOUT = "--without-backup"


def run_backups(settings: Settings, *words: str) -> tuple[dict[str, Any], str]:
    """Run one of `panpan backups` on a home; gives its answer, and why it failed, empty when it did not."""
    command = [sys.executable, "-m", "panpan", "backups", *words, "--home", str(settings.home), "--json"]
    answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if answer.returncode:
        return {}, (answer.stdout + answer.stderr).strip()[-2000:]
    content: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return content, ""


def back_up_before(settings: Settings, migrations: Sequence[str], *, drill: bool) -> str:
    """
    A backup set of a database that is about to be changed; gives its name. drill: also restore it and compare.

    Errors: MigrationError when there is none, or it does not restore; nothing was changed then.
    """
    made, failure = run_backups(settings, "create", *([] if drill else ["--no-drill"]))
    if failure:
        raise MigrationError(
            f"{', '.join(migrations)} waits: no backup could be made before it",
            cause=failure,
            next=f"mend that, or go on without a way back: the same command with {WITHOUT}",
        )
    return str(made["set"])
