"""
Make a home ready: its folders, generated secrets and chosen ports, written once to `settings.env`.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from dotenv import dotenv_values
from pydantic import SecretStr

from panpan.local.files import lock, write_private
from panpan.local.ports import choose_ports
from panpan.settings import HOME_FILE, PREFIX, Settings, load_settings

FOLDERS = ("inbox", "formatted", "archive", "sources", "logs", "run", "n8n")
SECRET_BYTES = 24
HEADING = "# Secrets and ports of this home, written by `panpan init`. Private; never overwritten.\n"


def initialise(home: Path, *, simulated: bool = False) -> Settings:
    """
    Create what the home lacks and read its settings. A second run changes nothing.

    Values already in settings.env, in the environment or in `.env` stay as they are.
    simulated: from now on the simulated systems answer for APIs that have no address.
    Errors: SettingsError when a given value is wrong; OSError when the folder can't be written.
    """
    home = home.absolute()
    # PostgreSQL's account must pass through the home; what lies in it (customers!) is its owner's alone.
    home.mkdir(mode=0o711, parents=True, exist_ok=True)
    for name in FOLDERS:
        (home / name).mkdir(mode=0o700, exist_ok=True)
    with lock(home / "run" / "init.lock"):
        complete_settings_file(home / HOME_FILE)
        if simulated and "simulated" not in given_fields(home / HOME_FILE):
            append_line(home / HOME_FILE, f"{PREFIX}SIMULATED=true\n")
    return load_settings(home=home)


def is_initialised(home: Path) -> bool:
    """Whether the home has a settings file."""
    return (home / HOME_FILE).is_file()


def complete_settings_file(file: Path) -> None:
    """Add a value for each field without default that nobody has given; mode 0600, replaced as a whole."""
    text = file.read_text(encoding="utf-8") if file.exists() else HEADING
    missing = [name for name in required_fields() if name not in given_fields(file)]
    if missing:
        write_private(file, text)
        lines = [f"{PREFIX}{name.upper()}={value}\n" for name, value in new_values(missing, file)]
        append_line(file, "".join(lines))
    file.chmod(0o600)


def append_line(file: Path, line: str) -> None:
    """Add to the settings file, replaced as a whole, mode 0600."""
    text = file.read_text(encoding="utf-8")
    write_private(file, (text if text.endswith("\n") else text + "\n") + line)


def required_fields() -> list[str]:
    """The settings without default: all of them secrets or ports."""
    return [name for name, field in Settings.model_fields.items() if field.is_required()]


def given_fields(file: Path) -> set[str]:
    """Names of the fields given by the settings file, the environment or `.env`."""
    names = {*dotenv_values(file), *dotenv_values(".env"), *os.environ}
    return {name.removeprefix(PREFIX).lower() for name in names if name.startswith(PREFIX)}


def new_values(names: Iterable[str], file: Path) -> list[tuple[str, str]]:
    """A generated secret or a free port for each field, in the fields' order."""
    names = list(names)
    is_secret = {name: Settings.model_fields[name].annotation is SecretStr for name in names}
    known = {int(v) for k, v in dotenv_values(file).items() if k.endswith("_PORT") and v and v.isdigit()}
    ports = iter(choose_ports(sum(not secret for secret in is_secret.values()), taken=known))
    return [(name, secrets.token_urlsafe(SECRET_BYTES) if is_secret[name] else str(next(ports))) for name in names]
