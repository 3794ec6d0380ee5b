"""
The command line's outer edge: assembles the commands, catches each error once.

Exit codes: 0 well, 1 failed, 2 wrong use, 3 a check found bad data.
"""

from __future__ import annotations

import os
import sys

import typer

from panpan.cli import (
    alerts,
    asking,
    backups,
    bench,
    changes,
    demo,
    deploy,
    doctor,
    exports,
    forecast,
    governance,
    history,
    ingest,
    lineage,
    match,
    metabase,
    metrics,
    output,
    pii,
    quality,
    reconcile,
    rejects,
    reports,
    roles,
    rules,
    secrets,
    servers,
    sources,
    testing,
    transform,
    upgrade,
    users,
)
from panpan.errors import PanpanError, of_the_system

app = typer.Typer(
    name="panpan",
    help="The data platform a small business can run by itself.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
for concern in (
    demo,
    deploy,
    doctor,
    testing,
    servers,
    sources,
    ingest,
    rejects,
    rules,
    transform,
    upgrade,
    quality,
    metrics,
    asking,
    pii,
    changes,
    governance,
    exports,
    forecast,
    history,
    lineage,
    reconcile,
    match,
    alerts,
    reports,
    backups,
    metabase,
    bench,
    roles,
    users,
    secrets,
):
    concern.register(app)


def main() -> None:
    """Run one command; print an error as error, cause, next and no traceback (set PANPAN_DEBUG to see it)."""
    try:
        app(prog_name="panpan")
    except (PanpanError, OSError) as error:
        if os.environ.get("PANPAN_DEBUG"):
            raise
        told = error if isinstance(error, PanpanError) else of_the_system(error)
        output.print_error(told, as_json="--json" in sys.argv)
        sys.exit(told.exit_code)
    except KeyboardInterrupt:
        output.talk.print("stopped")
        sys.exit(130)
