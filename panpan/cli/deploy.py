"""
The command that brings servers which run elsewhere, in containers, to what this checkout says: deploy.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from db.migrate import migrate, pending_over_data
from panpan.cli import metabase, output
from panpan.cli.options import AsJson, Home, WithoutBackup
from panpan.errors import SettingsError
from panpan.local import postgres
from panpan.local.backup_command import back_up_before
from panpan.local.initialise import FOLDERS
from panpan.local.n8n_remote import deploy_remote
from panpan.settings import Settings, home_folder, load_settings


class Part(StrEnum):
    """What can be deployed alone."""

    database = "database"
    n8n = "n8n"
    metabase = "metabase"


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("deploy")(deploy)


def deploy(
    only: Annotated[list[Part] | None, typer.Option("--only", help="Deploy just this part; repeatable.")] = None,
    without_backup: WithoutBackup = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Bring database, n8n and Metabase of containers to what the files say; again, it changes nothing.

    On one machine without containers `panpan up` does this.  Example: panpan deploy --only database
    """
    settings = load_settings(home=home)
    for name in FOLDERS:
        (home_folder(home) / name).mkdir(mode=0o700, exist_ok=True)
    wanted = set(only or Part)
    done: dict[str, list[str]] = {}
    if Part.database in wanted:
        waiting = [] if without_backup else pending_over_data(settings)
        if waiting:
            with output.step(f"backing up before {', '.join(waiting)}"):
                # Proven by the worker's next drill: a second server does not fit into this container's memory.
                done["backup"] = [back_up_before(settings, waiting, drill=False)]
        with output.step("migrating the database"):
            done["migrations"] = deploy_database(settings)
    if Part.n8n in wanted:
        with output.step("deploying workflows"):
            deployment = deploy_remote(settings)
        done |= {"created": deployment.created, "updated": deployment.updated, "retired": deployment.retired}
    if as_json:
        output.print_json(done)
    else:
        for what, names in done.items():
            output.results.print(f"{what}: {', '.join(names) or 'nothing'}", highlight=False)
    if Part.metabase in wanted and settings.metabase_url:
        metabase.apply(home=home, wait=300, as_json=as_json)


def deploy_database(settings: Settings) -> list[str]:
    """Roles, all databases, migrations. Gives the migrations applied now."""
    if settings.metabase_database_password is None:
        raise SettingsError("PANPAN_METABASE_DATABASE_PASSWORD is missing", next="bin/panpan init")
    postgres.create_n8n_database(settings)
    postgres.create_own_database(settings, "metabase", settings.metabase_database_password)
    return migrate(settings)
