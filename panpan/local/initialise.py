"""
Make a home ready: its folders, generated secrets and chosen ports, written once to `settings.env`.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from dotenv import dotenv_values

from panpan.local.files import lock, write_private
from panpan.local.ports import choose_ports
from panpan.settings import HOME_FILE, PREFIX, Settings, files_of_secrets, is_secret, load_settings

FOLDERS = ("inbox", "formatted", "archive", "sources", "logs", "run", "n8n")
AGES = "secrets.json"
SECRET_BYTES = 24
# Made too, for what not every home runs: Metabase, and the containers' runner.
NOT_REQUIRED = ("metabase_database_password", "metabase_encryption_key", "metabase_port", "n8n_runners_token")
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
    missing = [name for name in (*required_fields(), *NOT_REQUIRED) if name not in given_fields(file)]
    if missing:
        write_private(file, text)
        lines = [f"{PREFIX}{name.upper()}={value}\n" for name, value in new_values(missing, file)]
        append_line(file, "".join(lines))
        keep_ages(file.parent, [name for name in missing if is_secret(name)])
    file.chmod(0o600)


def append_line(file: Path, line: str) -> None:
    """Add to the settings file, replaced as a whole, mode 0600."""
    text = file.read_text(encoding="utf-8")
    write_private(file, (text if text.endswith("\n") else text + "\n") + line)


def keep_setting(home: Path, name: str, value: str) -> None:
    """Write one setting into the home's settings file, in place of the one that was there."""
    file = home / HOME_FILE
    key = f"{PREFIX}{name.upper()}="
    with lock(home / "run" / "init.lock"):
        lines = file.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if not line.startswith(key)]
        write_private(file, "\n".join([*kept, f"{key}{value}"]) + "\n")


def read_ages(home: Path) -> dict[str, str]:
    """Secret -> since when it is as it is, ISO 8601; those of before this was written down are not in it."""
    with suppress(OSError, ValueError):
        ages: dict[str, str] = json.loads((home / AGES).read_text(encoding="utf-8"))
        return ages
    return {}


def keep_ages(home: Path, names: Iterable[str]) -> None:
    """Remember that some secrets are new now."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    write_private(home / AGES, json.dumps({**read_ages(home), **dict.fromkeys(names, now)}, indent=1))


def required_fields() -> list[str]:
    """The settings without default: all of them secrets or ports."""
    return [name for name, field in Settings.model_fields.items() if field.is_required()]


def given_fields(file: Path) -> set[str]:
    """Names of the fields given by the settings file, the environment or `.env`."""
    names = {*dotenv_values(file), *dotenv_values(".env"), *os.environ}
    return {name.removeprefix(PREFIX).lower() for name in names if name.startswith(PREFIX)} | set(files_of_secrets())


def new_values(names: Iterable[str], file: Path) -> list[tuple[str, str]]:
    """A generated secret or a free port for each field, in the fields' order."""
    names = list(names)
    is_secret = {name: not name.endswith("_port") for name in names}
    known = {int(v) for k, v in dotenv_values(file).items() if k.endswith("_PORT") and v and v.isdigit()}
    ports = iter(choose_ports(sum(not secret for secret in is_secret.values()), taken=known))
    return [(name, new_secret() if is_secret[name] else str(next(ports))) for name in names]


def new_secret() -> str:
    """A random text; with a digit and both kinds of letters, which n8n and Metabase ask of a password."""
    while True:
        secret = secrets.token_urlsafe(SECRET_BYTES)
        if re.search(r"\d", secret) and re.search(r"[a-z]", secret) and re.search(r"[A-Z]", secret):
            return secret
