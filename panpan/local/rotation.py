"""
The home's secrets: which there are, how old, and a new value for each, without an hour in which nothing works.

Comes in: settings of a home. Goes out: another value in settings.env and in the server that checks it. A note in
`run/rotation.json` (mode 0600) is there from before the first change until after the last, so a rotation that was
killed is finished by the next one or by `panpan up`; until then the old or the new value works.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from psycopg2 import sql
from psycopg2.extensions import encrypt_password
from pydantic import SecretStr

from backups import sets
from backups.key import renew_key
from db.connection import Role, connect, password_field
from db.migrate import LOGIN_ROLES
from panpan.errors import DatabaseError, UsageError
from panpan.local import n8n, postgres
from panpan.local.files import lock, write_private
from panpan.local.initialise import SECRET_BYTES, keep_ages, keep_setting, read_ages
from panpan.local.n8n_credentials import credentials
from panpan.local.n8n_deploy import import_credentials
from panpan.local.rotation_note import Note, note_file, read_note
from panpan.settings import Settings
from panpan.web.accounts import Accounts

EXPORTED = "rotation-credentials.json"
ROLE_OF: dict[str, Role] = {password_field(role): role for role in ("postgres", *LOGIN_ROLES, "n8n")}
Restart = Callable[[Settings, list[str]], None]
ENCRYPTION_KEY = "n8n_encryption_key"
# Secrets that another firm's server checks: it must be told there first, so the value is given, never made here.
GIVEN = ("pos_api_token", "crm_token", "inventory_token", "smtp_password", "offsite_access_key", "offsite_secret_key")
# Kept by Metabase, which makes it: `panpan metabase apply`.
METABASE = ("metabase_api_key", "metabase_admin_password")
METABASE_KEY = "metabase_encryption_key"
# Kept in files of their own, which are read each time they are needed: nothing must be told.


@dataclass(frozen=True)
class Secret:
    """A secret of a home: its name, who uses it, since when it is so (None: from before that was written down)."""

    name: str
    used_by: str
    is_set: bool
    since: datetime | None
    made_by: str


@dataclass(frozen=True)
class OwnFile:
    """A secret that is no setting but a file, which is read each time it is needed: nobody must be told."""

    used_by: str
    made_by: str
    file: Callable[[Settings], Path]
    renew: Callable[[Settings], object]


def _renew_backup_key(settings: Settings) -> None:
    with sets.lock(settings.backup_sets):  # a set under way has the key it began with
        renew_key(settings.backup_key)


IN_FILES: Mapping[str, OwnFile] = {
    "backup_key": OwnFile(
        "key of the backups", "first backup", lambda settings: settings.backup_key, _renew_backup_key
    ),
    "web_sessions": OwnFile(
        "secret all logins to our pages stand on", "users add",
        lambda settings: Accounts.of(settings).file, lambda settings: Accounts.of(settings).end_sessions(),
    ),
}  # fmt: skip


def list_secrets(settings: Settings) -> list[Secret]:
    """Every secret setting, in the settings' order, then those in files of their own; never a value."""
    ages = read_ages(settings.home)
    return [
        Secret(
            name=name,
            used_by=_used_by(name),
            is_set=getattr(settings, name) is not None,
            since=datetime.fromisoformat(ages[name]) if name in ages else None,
            made_by="given" if name in GIVEN else "Metabase" if name in METABASE else "init",
        )
        for name in secret_names()
    ] + [
        Secret(
            name=name,
            used_by=own.used_by,
            is_set=own.file(settings).exists(),
            since=datetime.fromisoformat(ages[name]) if name in ages else None,
            made_by=own.made_by,
        )
        for name, own in IN_FILES.items()
    ]


def secret_names() -> list[str]:
    """The settings that are secrets."""
    return [name for name, field in Settings.model_fields.items() if field.annotation in (SecretStr, SecretStr | None)]


def rotatable(settings: Settings) -> list[str]:
    """The secrets `rotate all` gives a new value: those made by init; with simulated sources their tokens too."""
    return [
        name
        for name in secret_names()
        if Settings.model_fields[name].is_required() and (name not in GIVEN or settings.simulated)
    ]


def rotate(settings: Settings, name: str, restart: Restart, value: str | None = None) -> Settings:
    """
    Give one secret a new value, made here unless given; what runs goes on with it. Gives the settings afterwards.

    restart: called with the settings and the names of the servers that must be told, those of them that run.
    Errors: UsageError for a name that is no secret or can't be made here; DatabaseError and ServerError when what
    checks it can't be reached, before anything is changed.
    """
    _refuse(settings, name, value)
    with lock(settings.home / "run" / "rotation.lock"):
        settings = finish(settings, restart)
        if name in IN_FILES:
            IN_FILES[name].renew(settings)
            keep_ages(settings.home, [name])
            return settings
        old = getattr(settings, name)
        if name in ROLE_OF:
            with connect(settings, "postgres", "postgres"):
                pass  # it is there, or nothing is begun
        if name == ENCRYPTION_KEY:
            _export_credentials(settings)
        note = Note(name, old.get_secret_value() if old else "", value or secrets.token_urlsafe(SECRET_BYTES))
        write_private(note_file(settings.home), json.dumps(asdict(note)))
        return finish(settings, restart)


def decided(settings: Settings) -> Settings:
    """The settings with the new value of a rotation that was begun; as they are when there is none."""
    note = read_note(settings.home)
    if note is None:
        return settings
    keep_setting(settings.home, note.name, note.new)
    return settings.model_copy(update={note.name: SecretStr(note.new)})


def finish(settings: Settings, restart: Restart = lambda settings, names: None) -> Settings:
    """Finish a rotation that was begun, if there is one; gives the settings afterwards. Safe to repeat."""
    note = read_note(settings.home)
    if note is not None:
        settings = decided(settings)
        _apply(settings, note)
        restart(settings, _affected(note.name))
        keep_ages(settings.home, [note.name])
        note_file(settings.home).unlink()
    _exported(settings).unlink(missing_ok=True)
    return settings


def _refuse(settings: Settings, name: str, value: str | None) -> None:
    if name not in (*secret_names(), *IN_FILES):
        raise UsageError(f"there is no secret {name!r}", cause=f"there are {', '.join((*secret_names(), *IN_FILES))}")
    if name in IN_FILES and value is not None:
        raise UsageError(f"{name} is made here", next="leave --from-file out")
    if name in METABASE:
        raise UsageError(
            f"{name} is made by Metabase",
            cause="the program keeps what Metabase gave it",
            next=f"take the line of {name} out of settings.env, then panpan metabase apply",
        )
    if name == METABASE_KEY and value is None:
        raise UsageError(
            f"Metabase's database is encrypted with {name}",
            cause="a value that Metabase was not told makes its connections unreadable",
            next="stop Metabase, run its own command rotate-encryption-key with a new value, put that into a file, then"
            f" panpan secrets rotate {name} --from-file FILE",
        )
    if name in GIVEN and value is None and not settings.simulated:
        raise UsageError(
            f"{name} is checked by somebody else's server",
            cause="a value made here would not be taken there",
            next=f"get a new one there, put it into a file, then panpan secrets rotate {name} --from-file FILE",
        )


# --- what each kind needs -----------------------------------------------------------------------------------


def _apply(settings: Settings, note: Note) -> None:
    """Tell what checks the secret of its new value; safe to repeat."""
    if note.name in ROLE_OF:
        _set_password(settings, ROLE_OF[note.name], note)
    if note.name == ENCRYPTION_KEY:
        _encrypt_anew(settings)
    elif _is_in_credentials(settings, note.name) and _has_run(settings):
        import_credentials(settings)  # read at each run, so without a restart


def _affected(name: str) -> list[str]:
    """The servers that use a secret and were given it when they started, in the order they start."""
    of_n8n = name in (ENCRYPTION_KEY, "n8n_database_password", "n8n_owner_password")
    of_metabase = name == "metabase_database_password"  # set in the server when Metabase is started
    of_pages = name in ("postgres_password", "owner_password", "transformer_password", "bi_password", "web_password")
    # The worker runs the backups, which hold every key.
    last = [*(["web"] if of_pages else []), *(["metabase"] if of_metabase else [])]
    return [*(["n8n"] if of_n8n else []), "simulate", "changes", "worker", *last]


def _set_password(settings: Settings, role: Role, note: Note) -> None:
    """By whichever of the two passwords the server still takes; only the verifier is sent."""
    if role == "postgres":
        postgres.take_up_password(settings)
        return
    with connect(settings, "postgres", "postgres") as connection, connection.cursor() as cursor:
        verifier = encrypt_password(note.new, role, connection, "scram-sha-256")
        cursor.execute("select from pg_roles where rolname = %s", (role,))
        if cursor.fetchone() is not None:  # n8n may never have been started
            cursor.execute(sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(verifier)))


def _export_credentials(settings: Settings) -> None:
    """All credentials, also those people made in n8n, readable: private, and gone when the rotation is over."""
    file = _exported(settings)
    write_private(file, "[]")
    if _has_run(settings) and _credentials_count(settings):
        n8n.run_command(settings, "export:credentials", "--all", "--decrypted", f"--output={file}")
        file.chmod(0o600)


def _encrypt_anew(settings: Settings) -> None:
    """
    Put the exported credentials in under the new key.

    What else n8n keeps under the old one are keys it makes for itself (to sign sessions and API keys, to wrap data
    keys): they go, and it makes others at its next start, so everybody logs in again.
    """
    (settings.home / "n8n" / ".n8n" / "config").unlink(missing_ok=True)  # it holds the key, and is written anew
    if not _has_run(settings):
        return
    with connect(settings, "postgres", "n8n") as connection, connection.cursor() as cursor:
        cursor.execute("select to_regclass('public.deployment_key') is not null")
        if cursor.fetchone() == (True,):
            cursor.execute("delete from public.deployment_key where type like 'signing.%' or type = 'data_encryption'")
    if json.loads(_exported(settings).read_text(encoding="utf-8")):
        n8n.run_command(settings, "import:credentials", f"--input={_exported(settings)}")


def _credentials_count(settings: Settings) -> int:
    with connect(settings, "postgres", "n8n") as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from public.credentials_entity")
        [(count,)] = cursor.fetchall()
        return int(count)


def _has_run(settings: Settings) -> bool:
    """Whether n8n has ever run here: its tables are made at its first start."""
    try:
        with connect(settings, "postgres", "n8n") as connection, connection.cursor() as cursor:
            cursor.execute("select to_regclass('public.credentials_entity') is not null")
            return bool(cursor.fetchone() == (True,))
    except DatabaseError:
        return False


def _is_in_credentials(settings: Settings, name: str) -> bool:
    """Whether a credential of n8n holds the value."""
    value = getattr(settings, name)
    return value is not None and value.get_secret_value() in json.dumps(credentials(settings))


def _used_by(name: str) -> str:
    """Who uses a secret, from the setting's own words."""
    return str(Settings.model_fields[name].description)


def _exported(settings: Settings) -> Path:
    return settings.home / "n8n" / EXPORTED
