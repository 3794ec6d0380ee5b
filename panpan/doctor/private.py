"""
What must stay private: settings, secrets, file modes, the key of the backups. Values never leave this module.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections import Counter
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from backups.errors import BackupError
from backups.key import read_key
from panpan.doctor.check import Checks, Verdict, bad, none_of, well
from panpan.settings import CHECKOUT, HOME_FILE, PREFIX, Settings, secret_values, unknown_variables, weak_secrets

PRIVATE_FILES = (HOME_FILE, "backup.key", "users.json", "n8n/api_key", "n8n/deployed.json")
PRIVATE_FOLDERS = ("inbox", "formatted", "archive", "logs", "n8n", "backups", "postgres")
SCANNED_BYTES = 2 * 2**20  # of each log, its end
LOOPBACK = ("127.0.0.1", "localhost", "::1")
URLS = ("pos_api_url", "crm_url", "inventory_url", "metabase_url", "web_url", "offsite_endpoint")

checks = Checks()


@dataclass(frozen=True)
class Private:
    """Names only, of settings, files and processes; `key_fault` is empty when the backups' key is well."""

    unknown_settings: list[str]
    weak: list[str]
    repeated: list[str]
    open_files: list[str]
    foreign_files: list[str]
    in_git: list[str]
    in_processes: list[str]
    in_logs: list[str]
    key_fault: str
    plain_urls: list[str]
    plain_mail: str


def look(settings: Settings) -> Private:
    """Look at the settings, the home and the processes."""
    values = secret_values(settings)
    return Private(
        unknown_settings=unknown_variables(),
        weak=weak_secrets(values),
        repeated=repeated(values),
        open_files=open_files(settings.home, but=("inbox",) if settings.in_containers else ()),
        foreign_files=foreign_files(settings.home),
        in_git=in_git(),
        in_processes=in_processes(values),
        in_logs=in_logs(values, settings.logs.glob("*.log*")),
        key_fault=key_fault(settings),
        plain_urls=[name for name in URLS if is_plain(getattr(settings, name), inside=settings.in_containers)],
        plain_mail=plain_mail(settings),
    )


def repeated(values: dict[str, str]) -> list[str]:
    """Secrets that another setting has too: whoever learns one has both."""
    counts = Counter(values.values())
    return [PREFIX + name.upper() for name, value in values.items() if counts[value] > 1]


def open_files(home: Path, but: Collection[str] = ()) -> list[str]:
    """
    Private files that others may read, private folders that others may enter.

    but: in containers the inbox, which n8n reads as another user; no other user is in there.
    """
    files = [home / name for name in (*PRIVATE_FILES, *PRIVATE_FOLDERS) if name not in but]
    if (env := Path(".env").absolute()).exists():
        files.append(env)
    return [f"{file} {mode:04o}" for file in files if file.exists() and (mode := _mode(file)) & 0o077]


def foreign_files(home: Path) -> list[str]:
    """Files of the home that belong to another user (PostgreSQL's own folder may)."""
    me = os.geteuid()
    return [str(each) for each in home.iterdir() if each.name != "postgres" and each.stat().st_uid != me]


def in_git(checkout: Path = CHECKOUT) -> list[str]:
    """Files under version control that hold settings or keys; none where there is no git."""
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        return []
    names = ["*.env", ".env", "*.key", "*.pem", "settings.env", "backup.key"]
    answer = subprocess.run(
        [git, "-C", str(checkout), "ls-files", "--", *names], capture_output=True, text=True, timeout=10, check=False
    )
    return [name for name in answer.stdout.splitlines() if name != ".env.example"]


def in_processes(values: dict[str, str]) -> list[str]:
    """Processes whose command line, which every user may read, holds a secret."""
    found = []
    for process in psutil.process_iter(["pid", "name", "cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if any(value in line for value in values.values() if len(value) >= 8):
            found.append(f"{process.info['name']} ({process.info['pid']})")
    return found


def in_logs(values: dict[str, str], logs: Iterable[Path]) -> list[str]:
    """Logs whose last megabytes hold a secret, and which."""
    found = []
    for log in logs:
        with suppress(OSError), log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - SCANNED_BYTES))
            text = stream.read()
            found += [
                f"{log.name}: {name}" for name, value in values.items() if len(value) >= 8 and value.encode() in text
            ]
    return found


def key_fault(settings: Settings) -> str:
    """What is wrong with the key of the backups; empty when nothing is."""
    file = settings.backup_key
    if not file.exists():
        return f"{file} is missing" if any(settings.backup_sets.glob("*/manifest*")) else ""
    try:
        key = read_key(file)
    except BackupError as error:
        return error.explained_cause() or error.message
    known = key.application_keys.get(f"{PREFIX}N8N_ENCRYPTION_KEY")
    if known is not None and known != settings.n8n_encryption_key.get_secret_value():
        return "the key of n8n in the settings is not the one the backups know"
    return ""


def is_plain(url: str | None, *, inside: bool = False) -> bool:
    """Whether an address sends what it carries readable through a network; inside: containers have one of their own."""
    if not url:
        return False
    parts = urlsplit(url)
    return parts.scheme == "http" and not _is_near(parts.hostname or "", inside=inside)


def plain_mail(settings: Settings) -> str:
    """The mail server that is spoken to unencrypted over a network; empty when there is none."""
    host = settings.smtp_host or ""
    is_open = settings.smtp_security == "none" and not _is_near(host, inside=settings.in_containers)
    return host if is_open else ""


def _is_near(host: str, *, inside: bool) -> bool:
    """This machine; with containers also a service, whose name has no dot."""
    return host in ("", *LOOPBACK) or (inside and "." not in host)


def _mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


@checks.add("settings-known", "warning", Private)
def settings_known(private: Private) -> Verdict:
    fix = "correct or remove these variables; .env.example lists all settings"
    return none_of(private.unknown_settings, "every PANPAN_ variable is known", "no setting reads", fix)


@checks.add("files-private", "error", Private)
def files_private(private: Private) -> Verdict:
    fix = "chmod 600 the files, chmod 700 the folders"
    return none_of(private.open_files, "secrets and data are readable by their owner alone", "open to others", fix)


@checks.add("files-owned", "error", Private)
def files_owned(private: Private) -> Verdict:
    fix = "run panpan as the user who made the home, or chown these files to the user it runs as"
    return none_of(private.foreign_files, "the home belongs to one user", "another user owns", fix)


@checks.add("backup-key", "error", Private)
def backup_key(private: Private) -> Verdict:
    if private.key_fault:
        return bad(private.key_fault, "bring back your copy of backup.key (docs/restore.md), or the earlier setting")
    return well("the key of the backups is whole and knows the key of n8n")


@checks.add("secrets-strong", "error", Private, security=True)
def secrets_strong(private: Private) -> Verdict:
    fix = "remove the line from settings.env, then bin/panpan init makes a new one, bin/panpan up sets it"
    return none_of(private.weak, "no secret is short or well known", "can be guessed", fix)


@checks.add("secrets-differ", "error", Private, security=True)
def secrets_differ(private: Private) -> Verdict:
    fix = "remove these lines from settings.env, then bin/panpan init makes new ones, bin/panpan up sets them"
    return none_of(private.repeated, "every secret is used once", "the same secret is used by", fix)


@checks.add("secrets-not-in-git", "error", Private, security=True)
def secrets_not_in_git(private: Private) -> Verdict:
    fix = "git rm --cached them, and make new secrets: what was pushed is known"
    return none_of(private.in_git, "git holds no settings and no key", "under version control", fix)


@checks.add("secrets-not-in-processes", "error", Private, security=True)
def secrets_not_in_processes(private: Private) -> Verdict:
    fix = "stop these processes, give the secret by a file or the environment"
    return none_of(private.in_processes, "no command line shows a secret", "a secret can be read from", fix)


@checks.add("secrets-not-in-logs", "error", Private, security=True)
def secrets_not_in_logs(private: Private) -> Verdict:
    fix = "remove the log, and make a new secret in settings.env"
    return none_of(private.in_logs, "no log shows a secret", "a secret stands in", fix)


@checks.add("addresses-encrypted", "error", Private, security=True)
def addresses_encrypted(private: Private) -> Verdict:
    fix = "use https:// addresses, or put a proxy with TLS in front (docs/security.md)"
    return none_of(private.plain_urls, "nothing travels readable through a network", "not encrypted", fix)


@checks.add("mail-encrypted", "error", Private, security=True)
def mail_encrypted(private: Private) -> Verdict:
    if private.plain_mail:
        return bad(f"mail goes unencrypted to {private.plain_mail}", "set PANPAN_SMTP_SECURITY to starttls or tls")
    return well("mail goes encrypted, or nowhere")
