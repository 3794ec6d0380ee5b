"""
The PostgreSQL server of one home: created, started on 127.0.0.1, asked for its health, stopped.

The files lie in `$PANPAN_HOME/postgres`. Root's server runs as an unprivileged user; where that user can't
enter the home they lie under /var/lib/panpan/homes, and `$PANPAN_HOME/postgres.place` says where.
There is no unix socket: its path could be too long, and one way in is easier to guard than two.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import psutil
from psycopg2 import sql
from psycopg2.extensions import encrypt_password
from pydantic import SecretStr

from db.connection import connect
from panpan.errors import DatabaseError, ServerError
from panpan.local.account import Account, run_as, unprivileged_account
from panpan.local.files import write_private
from panpan.local.ports import require_free
from panpan.local.postgres_program import SHARED, program_folder, server_version
from panpan.local.process import Daemon
from panpan.local.rotation_note import before
from panpan.settings import Settings

START_SECONDS = 120  # recovery after a crash replays up to 4 GB of log
STOP_SECONDS = 60
N8N = "n8n"

# PostgreSQL's own C.UTF-8 (17 or later), which sorts texts several times as fast, else the C library's of that name:
# both sort by code point.
LOCALES = (["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"], ["--locale=C.UTF-8"])

# For a small machine that also runs n8n.
CONFIGURATION = """\
# Written by panpan at each start. Changes of your own: in postgresql.conf, below the line that includes this.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 80
shared_buffers = 256MB
effective_cache_size = 1GB
maintenance_work_mem = 128MB
work_mem = 16MB
random_page_cost = 1.1
max_wal_size = 4GB
max_slot_wal_keep_size = 4GB
checkpoint_timeout = 15min
synchronous_commit = on
password_encryption = scram-sha-256
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
log_checkpoints = off
"""


def start(settings: Settings) -> None:
    """
    Start the server and wait until it accepts connections; creates its files the first time.

    Nothing happens when it runs. What a killed server left behind is cleared away first.
    Errors: ServerError when it can't be created or started; the cause is what the server said.
    """
    account = unprivileged_account()
    programs = program_folder(settings, account)
    data = create(settings, programs, account)
    server = daemon(settings)
    if server.process() is None:
        clear_leftovers(server)
        require_free(settings.postgres_port, "PostgreSQL", "PANPAN_POSTGRES_PORT")
        configuration = data / "panpan.conf"
        configuration.write_text(CONFIGURATION.format(port=settings.postgres_port), encoding="utf-8")
        configuration.chmod(0o644)
        server.start([str(programs / "postgres"), "-D", str(data)], _environment(), account)
    server.wait_until(lambda: accepts(settings), START_SECONDS)


def stop(settings: Settings) -> bool:
    """Stop the server; open transactions are rolled back. False when it did not run."""
    return daemon(settings).stop(first=signal.SIGINT, seconds=STOP_SECONDS)


def daemon(settings: Settings) -> Daemon:
    """The server process; one that lost its record is found again by PostgreSQL's own pid file."""
    found = Daemon(settings.home, "postgres", place(settings) / "data")
    if found.process() is None:
        _adopt(found)
    return found


def accepts(settings: Settings) -> bool:
    """
    Whether the server lets the superuser in; the password is this home's, so it is this home's server.

    While the superuser's own password is being changed, either of the two will do.
    """
    earlier = before(settings)
    return lets_in(settings) or (earlier is not None and lets_in(earlier))


def take_up_password(settings: Settings) -> None:
    """Give the superuser the password of the settings, when a change of it was begun and the server has the old one."""
    earlier = before(settings)
    if earlier is None or lets_in(settings):
        return
    with connect(earlier, "postgres", "postgres") as connection, connection.cursor() as cursor:
        verifier = encrypt_password(
            settings.postgres_password.get_secret_value(), "postgres", connection, "scram-sha-256"
        )
        cursor.execute(sql.SQL("alter role postgres password {}").format(sql.Literal(verifier)))


def lets_in(settings: Settings) -> bool:
    """Whether the server takes the superuser's password as it is in the settings."""
    try:
        with connect(settings, "postgres", "postgres"):
            return True
    except DatabaseError:
        return False


def version(settings: Settings) -> str:
    """The version of the server's programs; empty when there are none."""
    account = unprivileged_account()
    with suppress(ServerError):
        return server_version(program_folder(settings, account), account)
    return ""


def destroy(settings: Settings) -> None:
    """Stop the server and delete all its files, also those outside the home. Tests clean up with this."""
    stop(settings)
    shutil.rmtree(place(settings), ignore_errors=True)
    _place_file(settings).unlink(missing_ok=True)


def create(settings: Settings, programs: Path, account: Account | None) -> Path:
    """
    The data folder, made by initdb when it is missing. Made beside and renamed: it is whole or not there.

    Errors: ServerError when initdb fails or the files belong to another user.
    """
    folder = make_place(settings, account)
    data = folder / "data"
    if data.exists():
        return data
    half_made = folder / "data.part"
    password_file = folder / "password"
    write_private(password_file, settings.postgres_password.get_secret_value())
    try:
        if account:
            os.chown(password_file, account.uid, account.gid)
        _initdb(programs, half_made, password_file, account)
    finally:
        password_file.unlink()
    with (half_made / "postgresql.conf").open("a", encoding="utf-8") as stream:
        stream.write("\ninclude 'panpan.conf'\n")
    half_made.rename(data)
    return data


def place(settings: Settings) -> Path:
    """The folder of the server's files: remembered, else inside the home."""
    with suppress(OSError):
        return Path(_place_file(settings).read_text(encoding="utf-8").strip())
    return settings.home / "postgres"


def clear_leftovers(server: Daemon) -> None:
    """End what a killed postmaster left: children that still hold its shared memory, and its pid file."""
    server.stop()
    (server.folder / "postmaster.pid").unlink(missing_ok=True)


def create_n8n_database(settings: Settings) -> None:
    """Role n8n and its own database, closed to everybody else; a second run changes nothing."""
    create_own_database(settings, N8N, settings.n8n_database_password)


def create_own_database(settings: Settings, program: str, password: SecretStr) -> None:
    """A role and a database for another program (n8n, Metabase), closed to everybody else."""
    name = sql.Identifier(program)
    with (
        connect(settings, "postgres", "postgres", autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("select from pg_roles where rolname = %s", (program,))
        if cursor.fetchone() is None:
            cursor.execute(sql.SQL("create role {} login").format(name))
        # The server is given the verifier, never the password, so no log can show it.
        verifier = encrypt_password(password.get_secret_value(), program, connection, "scram-sha-256")
        cursor.execute(sql.SQL("alter role {} password {}").format(name, sql.Literal(verifier)))
        cursor.execute("select from pg_database where datname = %s", (program,))
        if cursor.fetchone() is None:
            cursor.execute(sql.SQL("create database {} owner {}").format(name, name))
        for database in (program, "postgres"):
            cursor.execute(sql.SQL("revoke all on database {} from public").format(sql.Identifier(database)))


def _adopt(server: Daemon) -> None:
    with suppress(OSError, ValueError, psutil.NoSuchProcess):
        pid = int((server.folder / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
        if psutil.Process(pid) in server.members():
            server.remember(pid, "postgres")


def _place_file(settings: Settings) -> Path:
    return settings.home / "postgres.place"


def make_place(settings: Settings, account: Account | None) -> Path:
    """The folder of the server's files, made when it is missing; it belongs to the account that runs the server."""
    folder = place(settings)
    if not folder.exists():
        if account and not account.reaches(settings.home):
            folder = _place_outside(settings.home)
            write_private(_place_file(settings), f"{folder}\n")
        folder.mkdir(mode=0o700)
        if account:
            os.chown(folder, account.uid, account.gid)
    _require_owner(folder, account.uid if account else os.geteuid())
    return folder


def _place_outside(home: Path) -> Path:
    homes = SHARED / "homes"
    homes.mkdir(mode=0o755, parents=True, exist_ok=True)
    # Never the same twice: a home deleted and made again has new passwords and must not meet its old files.
    return homes / f"{hashlib.sha256(bytes(home)).hexdigest()[:12]}-{secrets.token_hex(4)}"


def _require_owner(folder: Path, uid: int) -> None:
    found = folder.stat().st_uid
    if found != uid:
        raise ServerError(
            "the database files belong to another user",
            cause=f"{folder} belongs to user id {found}, PostgreSQL would run as {uid}",
            next="run panpan as the user who created this home, or choose another PANPAN_HOME",
        )


def _initdb(programs: Path, data: Path, password_file: Path, account: Account | None) -> None:
    for locale in LOCALES:
        shutil.rmtree(data, ignore_errors=True)
        words = [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-E", "UTF8", *locale]
        words += ["--auth=scram-sha-256", f"--pwfile={password_file}", "--no-instructions"]
        answer = run_as(account, words)
        if answer.returncode == 0:
            return
        if "locale" not in answer.stderr:
            break
    shutil.rmtree(data, ignore_errors=True)
    raise ServerError("PostgreSQL's files can't be created", cause=f"initdb: {answer.stderr.strip()}")


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
