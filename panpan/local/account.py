"""
The unprivileged account that PostgreSQL runs under when we are root, and what that account can reach.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from panpan.errors import ServerError

CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int

    def of_process(self) -> dict[str, Any]:
        """Arguments of subprocess that drop to this account and to no other group."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def reaches(self, folder: Path) -> bool:
        """Whether the account may enter the folder; tried, as there are more rules than mode bits."""
        return run_as(self, ["test", "-x", str(folder)]).returncode == 0


def unprivileged_account() -> Account | None:
    """
    The account to drop to, None when we aren't root.

    Errors: ServerError when the machine has neither of the known accounts.
    """
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise ServerError(
        "PostgreSQL refuses to run as root",
        cause=f"this machine has none of the users {', '.join(CANDIDATES)} to run it as",
        next="run panpan as an ordinary user",
    )


def run_as(account: Account | None, command: list[str]) -> subprocess.CompletedProcess[str]:
    """
    Run a short command as the account, in `/`, with a plain environment; the caller judges the exit code.

    A program that the account can't execute counts as failed with code 126, as a shell has it.
    """
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
    drop = account.of_process() if account else {}
    try:
        return subprocess.run(
            command,
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **drop,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return subprocess.CompletedProcess(command, 126, "", str(error))
