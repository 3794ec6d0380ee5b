"""
Commands about the home's secrets: secrets list, rotate.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.errors import UsageError
from panpan.local import rotation, stack
from panpan.settings import Settings, load_settings

commands = typer.Typer(
    name="secrets", help="Passwords, keys and tokens of this home: which, how old, a new one.", no_args_is_help=True
)
ALL = "all"


def register(app: typer.Typer) -> None:
    """Add the commands of this module as `secrets`."""
    app.add_typer(commands, name="secrets")


@commands.command("list")
def list_(home: Home = None, as_json: AsJson = False) -> None:
    """
    Name the secrets with their age and use; never a value.

    Example: panpan secrets list
    """
    found = rotation.list_secrets(load_settings(home=home))
    rows = [
        {"name": s.name, "set": s.is_set, "since": s.since, "days": _days(s.since), "from": s.made_by, "use": s.used_by}
        for s in found
    ]
    if as_json:
        output.print_json({"secrets": rows})
        return
    output.print_table(
        "secrets",
        ["name", "set", "days old", "from", "use"],
        [[row["name"], "yes" if row["set"] else "no", row["days"], row["from"], row["use"]] for row in rows],
    )


@commands.command("rotate")
def rotate(
    name: Annotated[str, typer.Argument(help="Name of a secret as `secrets list` has it, or all.")],
    from_file: Annotated[
        Path | None, typer.Option("--from-file", help="File that holds the new value, of a secret given by others.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Give a secret a new value, and everything that uses it; what runs goes on. Repeat it after an interruption.

    Servers started in another way (compose) must be restarted by you.  Example: panpan secrets rotate bi_password
    """
    settings = load_settings(home=home)
    if name == ALL and from_file:
        raise UsageError("one file can't hold all secrets", next="name one secret, or leave --from-file out")
    value = _value(from_file) if from_file else None
    names = rotation.rotatable(settings) if name == ALL else [name]
    for each in names:
        with output.step(f"changing {each}"):
            settings = rotation.rotate(settings, each, _restart, value)
    if as_json:
        output.print_json({"rotated": names})
    else:
        output.results.print(f"changed: {', '.join(names)}", highlight=False)
    if "backup_key" in names:
        output.talk.print(
            f"copy {settings.backup_key} to another machine now: it opens the sets made before too", highlight=False
        )
    if "bi_password" in names and settings.metabase_url:
        output.talk.print("Metabase still has the old password of bi: bin/panpan metabase apply", highlight=False)


def _restart(settings: Settings, names: list[str]) -> None:
    stack.restart(settings, names)


def _value(file: Path) -> str:
    try:
        value = file.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise UsageError(f"{file} can't be read", cause=error.strerror) from None
    if not value or "\n" in value:
        raise UsageError(f"{file} holds no secret", cause="expected one line")
    return value


def _days(since: datetime | None) -> int | None:
    return (datetime.now(UTC) - since).days if since else None
