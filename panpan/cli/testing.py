"""
`panpan test`: the whole test suite, linters first, servers included.
"""

from __future__ import annotations

import os
import subprocess
import sys

import typer

from panpan.cli import output
from panpan.settings import CHECKOUT, PREFIX

SQLFLUFF = ("sqlfluff", "lint", "--disable-progress-bar")
CHECKS = (
    ("ruff", ["ruff", "check", "."]),
    ("ruff format", ["ruff", "format", "--check", "."]),
    ("mypy", ["mypy"]),
    ("sqlfluff", [*SQLFLUFF, "transforms", "db/migrations"]),
    ("sqlfluff metabase", [*SQLFLUFF, "--ignore-local-config", "--config", "metabase/sqlfluff.cfg", "metabase"]),
)


OF_TESTS = (f"{PREFIX}SHARED_DATA", f"{PREFIX}SCREENSHOTS", f"{PREFIX}OTHER_N8N")
# Each file's tests stay together: they share servers. More processes would want more memory than a laptop has.
ON_ALL_CORES = ["-n", str(min(4, os.cpu_count() or 1)), "--dist", "loadfile"]


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command(
        "test",
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    )(test)


def test(context: typer.Context) -> None:
    """
    Run the linters, then pytest on all cores; with arguments only pytest runs, with these.

    Example: panpan test tests/unit -k refund
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    # What the tests alone read may be named for them; every other setting of this machine would leak into them.
    environment |= {name: os.environ[name] for name in OF_TESTS if name in os.environ}
    failed = [] if context.args else [name for name, words in CHECKS if not _passes(name, words, environment)]
    words = context.args or ON_ALL_CORES
    tests = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=CHECKOUT, env=environment, check=False)
    if failed:
        output.talk.print(f"failed before the tests: {', '.join(failed)}")
    raise typer.Exit(tests.returncode or bool(failed))


def _passes(name: str, words: list[str], environment: dict[str, str]) -> bool:
    output.talk.print(f"{name} ...", highlight=False)
    return subprocess.run([sys.executable, "-m", *words], cwd=CHECKOUT, env=environment, check=False).returncode == 0
