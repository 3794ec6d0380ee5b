"""
The command line's outer edge: assembles the commands, catches each error once.

Exit codes: 0 well, 1 failed, 2 wrong use, 3 a check found bad data.
"""

from __future__ import annotations

import importlib
import os
import sys

import typer

from panpan.cli import output
from panpan.errors import PanpanError, of_the_system

# First word of a command -> the modules it is made of. A call imports its own alone: charts, models and data frames of
# the others would take it seconds.
CONCERNS = {
    "demo": ("demo",),
    "deploy": ("deploy",),
    "doctor": ("doctor",),
    "test": ("testing",),
    "init": ("servers",),
    "up": ("servers",),
    "down": ("servers",),
    "status": ("servers",),
    "value": ("metrics",),
    "goals": ("metrics",),
    "ask": ("asking",),
    "ssot": ("governance",),
    "evolve": ("history",),
    "asof": ("history",),
    "trace": ("lineage",),
    "sources": ("sources", "exports"),
    "ingest": ("ingest",),
    "rejects": ("rejects",),
    "rules": ("rules",),
    "transform": ("transform", "history"),
    "runs": ("runs",),
    "upgrade": ("upgrade",),
    "quality": ("quality",),
    "metrics": ("metrics", "governance", "exports"),
    "pii": ("pii",),
    "changes": ("changes",),
    "export": ("export",),
    "catalog": ("exports",),
    "forecast": ("forecast",),
    "raw": ("lineage",),
    "reconcile": ("reconcile",),
    "match": ("match",),
    "alerts": ("alerts",),
    "reports": ("reports",),
    "backups": ("backups",),
    "metabase": ("metabase",),
    "bench": ("bench",),
    "roles": ("roles",),
    "users": ("users",),
    "secrets": ("secrets",),
}


def assembled(word: str = "") -> typer.Typer:
    """The command line of one first word; of every other word, and of none, the whole one."""
    app = typer.Typer(
        name="panpan",
        help="The data platform a small business can run by itself.",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",  # words in brackets are words, no styles
    )
    app.callback()(lambda: None)  # one command alone would stand for the whole program
    known = CONCERNS.get(word) or dict.fromkeys(name for names in CONCERNS.values() for name in names)
    for name in known:
        importlib.import_module(f"panpan.cli.{name}").register(app)
    return app


def main() -> None:
    """Run one command; print an error as error, cause, next and no traceback (set PANPAN_DEBUG to see it)."""
    try:
        assembled(*sys.argv[1:2])(prog_name="panpan")
    except (PanpanError, OSError) as error:
        if os.environ.get("PANPAN_DEBUG"):
            raise
        told = error if isinstance(error, PanpanError) else of_the_system(error)
        output.print_error(told, as_json="--json" in sys.argv)
        sys.exit(told.exit_code)
    except KeyboardInterrupt:
        output.talk.print("stopped")
        sys.exit(130)
