"""
A server brought to a past moment: a base copy, the changes since, and this home's own password at the end.

Comes in: a base, a folder of changes, a moment. Goes out: the home's database files, ready to be started. While it
applies changes the server listens on a private socket only: who else is on the machine can't reach it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection  # the driver's own name is too plain
from psycopg2.extensions import encrypt_password

from backups.changes import Base, copy_segments, recovery_settings, unpack
from backups.errors import RestoreError
from backups.key import BackupKey
from panpan.errors import UsageError
from panpan.local import postgres
from panpan.local.account import Account, unprivileged_account
from panpan.local.postgres_program import program_folder
from panpan.local.process import last_lines
from panpan.settings import Settings

LOOK_SECONDS = 0.2


def recover(
    settings: Settings, base: Base, changes: Path, key: BackupKey, moment: datetime | None, step: Callable[[str], None]
) -> datetime | None:
    """
    Make the home's database files as of a moment (None: the newest there is); gives when its last change was made.

    The home must have none. A kill leaves nothing that looks finished.
    Errors: UsageError when there are files; BackupError when the base does not open; RestoreError with what the
    server said.
    """
    account = unprivileged_account()
    programs = program_folder(settings, account)
    folder = postgres.make_place(settings, account)
    if (folder / "data").exists():
        raise UsageError(
            "the home has databases already", cause=str(folder / "data"), next="choose another home with --home"
        )
    data, segments = folder / "data.part", folder / "segments.part"
    try:
        for left in (data, segments):
            shutil.rmtree(left, ignore_errors=True)
        step("unpacking the base")
        data.mkdir(mode=0o700)
        unpack(base, key, data)
        copy_segments(changes, segments)
        (data / "recovery.signal").touch()
        for each in (data, segments):
            give_to(each, account)
        step("applying changes")
        with _private_server(settings, programs, data, recovery_settings(segments, moment), account) as connection:
            last_change = _take_over(connection, settings)
        data.rename(folder / "data")
    finally:
        shutil.rmtree(segments, ignore_errors=True)
    return last_change


def give_to(folder: Path, account: Account | None) -> None:
    """Make a tree belong to the account."""
    if account:
        for each in (folder, *folder.rglob("*")):
            os.chown(each, account.uid, account.gid, follow_symlinks=False)


@contextmanager
def _private_server(
    settings: Settings, programs: Path, data: Path, given: dict[str, str], account: Account | None
) -> Iterator[PgConnection]:
    """A connection to the server once it has applied what it was to; the server is stopped afterwards."""
    with tempfile.TemporaryDirectory(prefix="panpan-", dir="/tmp") as name:  # a socket's path must be short
        private = Path(name)
        (private / "hba").write_text("local all postgres trust\n", encoding="utf-8")
        give_to(private, account)
        given = {
            **given,
            "listen_addresses": "",
            "unix_socket_directories": str(private),
            "hba_file": str(private / "hba"),
            "port": "5432",
        }
        words = [str(programs / "postgres"), "-D", str(data), *(f"--{name}={value}" for name, value in given.items())]
        settings.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = settings.logs / "recovery.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                words,
                cwd="/",
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
                **(account.of_process() if account else {}),
            )
            try:
                yield _when_recovered(process, private, log)
            finally:
                process.terminate()
                process.wait()


def _when_recovered(process: subprocess.Popen[bytes], private: Path, log: Path) -> PgConnection:
    while process.poll() is None:
        with suppress(psycopg2.OperationalError):
            connection = psycopg2.connect(host=str(private), port=5432, user="postgres", dbname="postgres")
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("select pg_is_in_recovery()")
                if cursor.fetchone() == (False,):
                    return connection
            connection.close()
        time.sleep(LOOK_SECONDS)
    raise RestoreError(
        "the changes can't be applied",
        cause=last_lines(log),
        next="choose an earlier moment, or latest; the newest change may be older than the moment",
    )


def _take_over(connection: PgConnection, settings: Settings) -> datetime | None:
    """This home's password for the superuser; its other roles get theirs when the home is migrated."""
    with connection.cursor() as cursor:
        verifier = encrypt_password(
            settings.postgres_password.get_secret_value(), "postgres", connection, "scram-sha-256"
        )
        cursor.execute(sql.SQL("alter role postgres password {}").format(sql.Literal(verifier)))
        cursor.execute("select pg_last_xact_replay_timestamp()")
        [(last_change,)] = cursor.fetchall()
    connection.close()
    return last_change  # type: ignore[no-any-return]  # a timestamptz or null
