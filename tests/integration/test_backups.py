"""Backup sets on a real PostgreSQL: made, proven, restored, broken in every way we know."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import paramiko
import psutil
import psycopg2
import pytest
import typer
from typer.testing import CliRunner

from backups import create as creating
from backups import ledger, offsite, sets
from backups import restore as restoring
from backups.drill import drill
from backups.errors import BackupError, RestoreError
from backups.key import key_text, read_key
from backups.manifest import FILE, read_manifest
from backups.stream import decrypted_bytes
from db import migrate as migrating
from db.connection import connect
from db.migrate import migrate
from db.schema import program_folder
from panpan.cli import backups as commands
from panpan.errors import MigrationError, UsageError
from panpan.local import postgres, rotation, stack
from panpan.local.ports import choose_ports
from panpan.settings import HOME_FILE, Settings
from transforms.run import run

SHEET = (
    "Transaction ID,Item,Quantity,Price Per Unit,Total Spent,Payment Method,Location,Transaction Date\n"
    "T1,Tea,1,2.0,2.0,Cash,In-store,2026-03-01\n"
    "T2,Cake,2,3.0,6.0,Cash,In-store,2026-03-01\n"
    "T3,Bun,1,1.5,1.5,Card,Takeaway,2026-03-02\n"
)
# Made by n8n-core 2.40.7's own Cipher with this key.
N8N_KEY = "correct horse"
N8N_TEXT = "U2FsdGVkX19zu8jyG/7bKH0zDl3MVUBF7JIBdXfDKJulEzOOJUJlmFg8NMwh5yD7"
CHECKS = {
    *("manifest", "files", "ledger", "against_previous", "rows", "checksums", "constraints", "grants"),
    *("sequences", "structure", "roles", "metrics", "n8n_credentials"),
}


@pytest.fixture(scope="module")
def home(new_server: Any) -> Iterator[Settings]:
    """A home with some sales, a database of n8n with one credential, and files."""
    with new_server() as server:
        file = server.home / HOME_FILE
        file.write_text(file.read_text(encoding="utf-8") + f"PANPAN_N8N_ENCRYPTION_KEY={N8N_KEY}\n", encoding="utf-8")
        settings = commands.load_settings(home=server.home)
        execute(settings, "postgres", "alter system set fsync = off", database="postgres")
        postgres.create_n8n_database(settings)
        migrate(settings)
        execute(
            settings,
            "postgres",
            "create table credentials_entity (id text primary key, name text, data text);"  # noqa: S608  # ours
            f" insert into credentials_entity values ('whLoader00000001', 'Warehouse loader', '{N8N_TEXT}');"
            " alter table credentials_entity owner to n8n",
            database="n8n",
        )
        deliver_sheet(settings)
        run(settings)
        (settings.own_contracts / "mine.toml").write_text("# a contract\n", encoding="utf-8")
        yield settings


@pytest.fixture(scope="module")
def proven(home: Settings) -> Path:
    """A proven set of the home."""
    folder = make(home)
    assert prove(home, folder) == []
    return folder


def deliver_sheet(settings: Settings) -> None:
    content = SHEET.encode()
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(
            "insert into ops.loads"
            " (source, entity, run_key, file_name, status, document_count, byte_count, received_at)"
            " values ('dirty_cafe', 'sale_lines', 'test', 'sheet.csv', 'received', 1, %s, now()) returning load_id",
            (len(content),),
        )
        [(load_id,)] = cursor.fetchall()
        cursor.execute(
            "insert into raw_pos.documents (document_id, load_id, entity, name, content, byte_count, sha256)"
            " values (nextval('ops.document_ids'), %s, 'sale_lines', 'sheet.csv', %s, %s, %s)",
            (load_id, content, len(content), hashlib.sha256(content).digest()),
        )


def execute(settings: Settings, role: Any, statement: str, *, database: str | None = None) -> list[Any]:
    with (
        connect(settings, role, database, autocommit="alter system" in statement) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


def make(settings: Settings, **changed: Any) -> Path:
    return creating.create(settings, replace(commands.ingredients(settings), **changed))


def prove(settings: Settings, folder: Path) -> list[str]:
    """Names of the checks that failed."""
    verdict = drill(settings, folder, commands.scratch(settings))
    assert set(verdict.checks) >= CHECKS or not verdict.is_good
    return [name for name, check in verdict.checks.items() if not check.ok]


def command(home: Settings, *words: str) -> tuple[int, dict[str, Any]]:
    app = typer.Typer()
    commands.register(app)
    answer = CliRunner().invoke(app, ["backups", *words, "--home", str(home.home), "--json"])
    return answer.exit_code, json.loads(answer.stdout.splitlines()[-1])


# --- what a set is -----------------------------------------------------------------------------------------


def test_a_set_is_private_encrypted_and_holds_what_it_should(home: Settings, proven: Path) -> None:
    files = {file.name for file in proven.iterdir()}

    assert files == {"warehouse.dump.age", "n8n.dump.age", "files.tar.gz.age", "manifest.age"}
    assert proven.stat().st_mode & 0o777 == 0o700
    for file in proven.iterdir():
        content = file.read_bytes()
        assert file.stat().st_mode & 0o777 == 0o600
        assert content.startswith(b"age-encryption.org/v1\n")
        assert not any(word in content for word in (b"PGDMP", b"revenue", b"CREATE TABLE", N8N_KEY.encode()))
    manifest = read_manifest(proven, read_key(home.backup_key))
    assert list(manifest.metrics["revenue"].values.values()) == ["9.50"]
    assert manifest.databases["warehouse"].facts.tables["core.sales"].rows == 3
    assert manifest.folders["contracts"] == 1
    assert set(manifest.key_fingerprints) >= {"PANPAN_N8N_ENCRYPTION_KEY"}


def test_no_secret_of_the_home_is_in_a_set_or_the_ledger(home: Settings, proven: Path) -> None:
    key = read_key(home.backup_key)
    manifest = read_manifest(proven, key).model_dump_json()
    written = str(ledger.entries(home))

    secrets = [line.partition("=")[2] for line in (home.home / HOME_FILE).read_text(encoding="utf-8").splitlines()]
    for secret in filter(lambda value: len(value) > 8 and not value.isdigit(), secrets):
        assert secret not in manifest
        assert secret not in written
    assert key.identity not in manifest + written


def test_a_decrypted_dump_is_read_by_stock_pg_restore(home: Settings, proven: Path, tmp_path: Path) -> None:
    plain = tmp_path / "warehouse.dump"
    plain.write_bytes(decrypted_bytes(proven / "warehouse.dump.age", read_key(home.backup_key)))

    listed = subprocess.run(
        [str(program_folder(home) / "pg_restore"), "--list", str(plain)], capture_output=True, text=True, check=True
    )

    assert "TABLE DATA core sales owner" in listed.stdout


def test_passwords_are_never_on_a_command_line(home: Settings) -> None:
    seen: list[str] = []
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for child in psutil.Process().children(recursive=True):
                try:
                    seen.append(" ".join(child.cmdline()))
                except psutil.Error:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    folder = make(home)
    over.set()
    watcher.join()
    sets.remove(folder)

    assert any("pg_dump" in line for line in seen)
    assert not any(home.backup_password.get_secret_value() in line for line in seen)


def test_role_backup_reads_everything_and_writes_nothing(home: Settings) -> None:
    for database, table in (
        ("warehouse", "raw_pos.documents"),
        ("warehouse", "ops.loads"),
        ("n8n", "credentials_entity"),
    ):
        assert execute(home, "backup", f"select count(*) from {table}", database=database)  # noqa: S608
    for statement in (
        "insert into ops.backup_ledger (event, set_name, verdict, seconds) values ('created', 'x', 'good', 0)",
        "delete from core.sales",
        "update marts.daily_store_sales set net_amount = 0",
        "create table core.mine (a int)",
        "create schema mine",
    ):
        with pytest.raises(psycopg2.Error, match=r"permission denied|read-only"):
            execute(home, "backup", f"set transaction read write; {statement}")


def test_the_ledger_is_append_only_for_everybody(home: Settings, proven: Path) -> None:
    assert proven
    for role in ("transformer", "owner", "postgres"):
        for statement in (
            "update ops.backup_ledger set verdict = 'good'",
            "delete from ops.backup_ledger",
            "truncate ops.backup_ledger",
        ):
            with pytest.raises(psycopg2.Error, match=r"append-only|permission denied"):
                execute(home, role, statement)


# --- making ------------------------------------------------------------------------------------------------


def test_two_at_once_is_refused(home: Settings) -> None:
    with sets.lock(home.backup_sets), pytest.raises(BackupError, match="another backup is under way"):
        make(home)


def test_what_is_written_meanwhile_is_in_neither_dump_nor_manifest(home: Settings) -> None:
    """Rows committed while the dump runs: manifest and dump come from one snapshot."""
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            execute(home, "transformer", "insert into ops.runs (step, status) values ('test', 'done')")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        folder = make(home)
    finally:
        over.set()
        writer.join()

    assert prove(home, folder) == []


def test_a_metric_that_can_not_be_computed_stops_no_backup(home: Settings) -> None:
    figure = commands.Figure(sql="select 1 / 0 as value", parameters={})

    folder = make(home, metrics={"broken": figure})

    assert "division by zero" in str(read_manifest(folder, read_key(home.backup_key)).metrics["broken"].error)
    assert prove(home, folder) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from backups import create, manifest, stream
from panpan.cli import backups as commands
settings = commands.load_settings(home=Path(sys.argv[1]))
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
where = sys.argv[2]
if where in ("sync_path", "write_manifest"):
    setattr(create, where, die)
def step(text):
    if text.startswith(where): die()
create.create(settings, commands.ingredients(settings), step)
"""


@pytest.mark.parametrize("where", ["dumping", "packing", "write_manifest", "sync_path"])
def test_killed_while_making_leaves_nothing(home: Settings, where: str) -> None:
    before = sets.set_folders(home.backup_sets)

    ended = subprocess.run([sys.executable, "-c", KILLED, str(home.home), where], check=False, capture_output=True)

    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert sets.set_folders(home.backup_sets) == before
    with sets.lock(home.backup_sets):
        assert not list(home.backup_sets.glob(f"{sets.PART}*"))


def test_a_full_disk_leaves_nothing_and_is_in_the_ledger(home: Settings) -> None:
    before = sorted(home.backup_sets.iterdir())

    with pytest.raises(BackupError, match="no room"):
        make(home, free_bytes=lambda _: 1000)

    assert sorted(home.backup_sets.iterdir()) == before
    last = ledger.entries(home)[-1]
    assert (last.event, last.verdict) == ("created", "bad")
    assert "no room" in str(last.reason)


# --- proving -----------------------------------------------------------------------------------------------


def test_a_drill_leaves_nothing_behind(home: Settings, proven: Path) -> None:
    assert prove(home, proven) == []

    assert not list(home.home.glob(f"{commands.DRILL}*"))
    assert not [p for p in psutil.process_iter() if commands.DRILL in " ".join(_cmdline(p)) and _is_in(p, home.home)]


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _is_in(process: psutil.Process, folder: Path) -> bool:
    return str(folder) in " ".join(_cmdline(process))


DRILL_KILLED = """
import os, signal, sys
from pathlib import Path
from backups import drill, sets
from panpan.cli import backups as commands
settings = commands.load_settings(home=Path(sys.argv[1]))
def step(text):
    if text.startswith("comparing"): os.kill(os.getpid(), signal.SIGKILL)
with sets.lock(settings.backup_sets):
    drill.drill(settings, sets.find_set(settings.backup_sets, sys.argv[2]), commands.scratch(settings), step)
"""


def test_a_killed_drill_gives_no_verdict_and_the_next_one_clears_up(home: Settings, proven: Path) -> None:
    entries = len(ledger.entries(home))

    subprocess.run([sys.executable, "-c", DRILL_KILLED, str(home.home), proven.name], check=False)

    assert len(list(home.home.glob(f"{commands.DRILL}*"))) == 1
    assert len(ledger.entries(home)) == entries
    assert prove(home, proven) == []
    assert not list(home.home.glob(f"{commands.DRILL}*"))


def test_every_fault_is_noticed_by_its_own_check(home: Settings, proven: Path) -> None:
    """The arena is made from the newest proven set; none of the faults is reported as success."""
    assert proven
    code, answer = command(home, "sabotage")

    assert [fault for fault in answer["faults"] if not fault["detected"]] == []
    assert len(answer["faults"]) >= 14
    assert (code, answer["ok"]) == (0, True)


# --- restoring ---------------------------------------------------------------------------------------------


def test_a_database_with_contents_is_refused_unless_its_name_is_typed(home: Settings, proven: Path) -> None:
    key = read_key(home.backup_key)
    execute(home, "transformer", "insert into ops.runs (step, status) values ('after the backup', 'done')")
    count = "select count(*) from ops.runs where step = 'after the backup'"
    names = {"warehouse": "warehouse"}

    with pytest.raises(RestoreError, match="'warehouse' is not empty"):
        restoring.restore(home, proven, key, names)
    assert execute(home, "owner", count) == [(1,)]

    restored = restoring.restore(home, proven, key, names, replace=["warehouse"])

    assert execute(home, "owner", count) == [(0,)]
    assert execute(home, "owner", count, database=restored.kept["warehouse"]) == [(1,)]
    with connect(home, "postgres", "postgres", autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("drop database warehouse with (force)")
        cursor.execute(f'alter database "{restored.kept["warehouse"]}" rename to warehouse')


def test_one_database_goes_into_an_empty_one_of_another_name(home: Settings, proven: Path) -> None:
    code, answer = command(home, "restore", proven.name, "--database", "warehouse", "--into", "looked_at")

    assert (code, answer["databases"], answer["kept"]) == (0, {"warehouse": "looked_at"}, {})
    assert execute(home, "owner", "select count(*) from core.sales", database="looked_at") == [(3,)]
    restoring.drop(home, ["looked_at"])


RESTORE_KILLED = """
import os, signal, sys
from pathlib import Path
from backups import restore, sets
from backups.key import read_key
from panpan.cli import backups as commands
settings = commands.load_settings(home=Path(sys.argv[1]))
def die(*_): os.kill(os.getpid(), signal.SIGKILL)
where = sys.argv[3]
if where == "take_names": restore.take_names = die
def step(text):
    if text.startswith(where): die()
folder = sets.find_set(settings.backup_sets, sys.argv[2])
restore.restore(settings, folder, read_key(settings.backup_key), {"warehouse": "fresh"}, step=step)
"""


@pytest.mark.parametrize("where", ["verifying", "restoring warehouse", "comparing", "recomputing", "take_names"])
def test_killed_while_restoring_leaves_nothing_under_the_name(home: Settings, proven: Path, where: str) -> None:
    words = [sys.executable, "-c", RESTORE_KILLED, str(home.home), proven.name]

    assert subprocess.run([*words, where], check=False).returncode == -signal.SIGKILL
    assert not restoring.has_contents(home, "fresh")

    assert subprocess.run([*words, "never"], check=False).returncode == 0, "again, it goes through"
    assert execute(home, "owner", "select count(*) from core.sales", database="fresh") == [(3,)]
    restoring.drop(home, ["fresh"])


def test_one_day_of_a_table_comes_back_beside_the_living_one(home: Settings, proven: Path) -> None:
    code, answer = command(home, "restore", proven.name, "--table", "core.sales", "--day", "2026-03-01")

    assert (code, answer["rows"]) == (0, 2)
    assert execute(home, "owner", f"select count(*) from {answer['table']}") == [(2,)]  # noqa: S608
    assert execute(home, "owner", "select count(*) from core.sales") == [(3,)]
    with pytest.raises(UsageError, match="no table"):
        restoring.restore_table(home, proven, read_key(home.backup_key), "core.nothing")
    execute(home, "owner", f"drop schema {answer['table'].split('.')[0]} cascade")


def test_a_damaged_set_is_refused_before_anything_is_touched(home: Settings, proven: Path, tmp_path: Path) -> None:
    copy = tmp_path / proven.name
    copy.mkdir()
    for file in proven.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    os.truncate(copy / "n8n.dump.age", 100)

    with pytest.raises(RestoreError, match="can't be restored"):
        restoring.restore(home, copy, read_key(home.backup_key), {"n8n": "fresh"})
    assert not restoring.has_contents(home, "fresh")


# --- commands ----------------------------------------------------------------------------------------------


def test_commands_say_what_their_contract_promises(home: Settings) -> None:
    code, made = command(home, "create", "--no-drill")
    assert (code, made["verdict"], made["checks"]) == (0, "unproven", {})

    code, drilled = command(home, "drill", made["set"])
    assert (code, drilled["set"], drilled["verdict"]) == (0, made["set"], "proven")
    assert all(check["ok"] for check in drilled["checks"].values())

    code, listed = command(home, "list")
    assert (listed["sets"][0]["set"], listed["sets"][0]["verdict"]) == (made["set"], "proven")
    assert command(home, "verify")[1]["verdict"] == "intact"
    assert command(home, "status")[1]["sentences"][0].startswith("Backups are well")
    assert command(home, "daily") == (0, {"ok": True, "due": False})

    (home.backup_sets / made["set"] / "n8n.dump.age").write_bytes(b"")
    code, broken = command(home, "drill", made["set"])
    assert (code, broken["ok"], broken["verdict"]) == (3, False, "failed")
    code, status = command(home, "status")
    assert code == 3
    assert made["set"] in " ".join(status["sentences"])


# --- copies elsewhere --------------------------------------------------------------------------------------


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """A local server that speaks S3."""
    [port] = choose_ports(1)
    with (folder / "s3.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


class KnownKey(paramiko.ServerInterface):
    """Lets in whoever has the one key."""

    def __init__(self, key: paramiko.PKey) -> None:
        self.key = key

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL if username == "bakery" and key == self.key else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class OpenFile(paramiko.SFTPHandle):
    """A file being read or written."""

    readfile: Any
    writefile: Any

    def stat(self) -> paramiko.SFTPAttributes:
        self.writefile.flush()
        return paramiko.SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))


class Files(paramiko.SFTPServerInterface):
    """A folder as an SFTP server shows it."""

    root: Path

    def __init__(self, server: paramiko.ServerInterface, root: Path) -> None:
        super().__init__(server)
        self.root = root

    def _real(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _try(self, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    def list_folder(self, path: str) -> Any:
        def entries() -> list[paramiko.SFTPAttributes]:
            real = self._real(path)
            return [paramiko.SFTPAttributes.from_stat(e.stat(), e.name) for e in real.iterdir()]

        return self._try(entries)

    def stat(self, path: str) -> Any:
        return self._try(lambda: paramiko.SFTPAttributes.from_stat(self._real(path).stat()))

    def open(self, path: str, flags: int, attr: Any) -> Any:
        def handle() -> paramiko.SFTPHandle:
            made = os.open(self._real(path), flags, 0o600)
            opened = OpenFile(flags)
            opened.readfile = opened.writefile = os.fdopen(made, "rb" if flags & 3 == os.O_RDONLY else "wb")
            return opened

        return self._try(handle)

    def remove(self, path: str) -> int:
        return self._try(self._real(path).unlink) or paramiko.SFTP_OK

    def mkdir(self, path: str, attr: Any) -> int:
        return self._try(self._real(path).mkdir) or paramiko.SFTP_OK

    def posix_rename(self, oldpath: str, newpath: str) -> int:
        self._try(lambda: self._real(oldpath).replace(self._real(newpath)))
        return paramiko.SFTP_OK


@contextmanager
def sftp_server(root: Path, host_key: paramiko.PKey, user_key: paramiko.PKey) -> Iterator[int]:
    """A local SFTP server of one folder; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    transport = paramiko.Transport(connection)
                    transport.add_server_key(host_key)
                    transport.set_subsystem_handler("sftp", paramiko.SFTPServer, Files, root)
                    transport.start_server(server=KnownKey(user_key), event=threading.Event())

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]


@pytest.fixture(params=["folder", "s3", "sftp"])
def elsewhere(request: Any, home: Settings, tmp_path: Path) -> Iterator[Settings]:
    """The home with an empty place for copies."""
    if request.param == "folder":
        (tmp_path / "disk").mkdir()
        yield home.model_copy(update={"offsite": str(tmp_path / "disk")})
        return
    if request.param == "sftp":
        (tmp_path / "there").mkdir()
        host_key, user_key = paramiko.ECDSAKey.generate(), paramiko.RSAKey.generate(2048)
        user_key.write_private_key_file(str(tmp_path / "key"))
        with sftp_server(tmp_path / "there", host_key, user_key) as port:
            named = {
                "offsite": f"sftp://bakery@127.0.0.1:{port}/",
                "offsite_key_file": tmp_path / "key",
                "offsite_host_key": f"{host_key.get_name()} {host_key.get_base64()}",
            }
            yield home.model_copy(update=named)
            wrong = paramiko.ECDSAKey.generate()
            stranger = home.model_copy(update={**named, "offsite_host_key": f"{wrong.get_name()} {wrong.get_base64()}"})
            place = offsite.store(stranger)
            assert place is not None
            with pytest.raises(paramiko.BadHostKeyException):
                place.names()
        return
    with s3_server(tmp_path) as address:
        given = {"offsite": "s3://copies/bakery", "offsite_endpoint": address}
        keys = {name: commands.SecretStr("made-up") for name in ("offsite_access_key", "offsite_secret_key")}
        settings = home.model_copy(update={**given, **keys})
        place = offsite.store(settings)
        assert isinstance(place, offsite.S3Store)
        _until(lambda: place.client.create_bucket(Bucket="copies", ObjectLockEnabledForBucket=True))
        yield settings


def _until(act: Callable[[], Any]) -> None:
    for _ in range(100):
        try:
            act()
            return
        except Exception:
            time.sleep(0.1)
    act()


def test_a_copy_is_read_back_and_a_missing_or_changed_file_is_noticed(
    elsewhere: Settings, proven: Path, tmp_path: Path
) -> None:
    key = read_key(elsewhere.backup_key)
    place = offsite.store(elsewhere)
    assert place is not None

    copied = offsite.copy(elsewhere, place, proven, key)

    assert copied.ok, copied.found
    assert "lock" in copied.found
    known = [entry for entry in ledger.entries(elsewhere) if entry.set_name == proven.name]
    assert all(check.ok for check in offsite.check(elsewhere, place, known).values())
    fetched = offsite.fetch(place, proven.name, tmp_path / "back")
    assert read_manifest(fetched, key).set_name == proven.name

    (tmp_path / "other").write_bytes(b"something else")
    place.put(f"{proven.name}/n8n.dump.age", tmp_path / "other")
    assert "n8n.dump.age was changed" in offsite.check(elsewhere, place, known)[proven.name].found
    place.remove(f"{proven.name}/{FILE}")
    assert f"{FILE} is missing" in offsite.check(elsewhere, place, known)[proven.name].found
    assert f"{FILE} is missing" in offsite.check(elsewhere, place, known, read=0)[proven.name].found, "by name alone"
    last = ledger.entries(elsewhere)[-1]
    assert (last.event, last.verdict) == ("checked_copy", "bad")

    assert offsite.copy(elsewhere, place, proven, key).ok, "copying again heals it"


def test_a_store_that_does_not_answer_is_a_bad_copy_not_a_crash(home: Settings, proven: Path, tmp_path: Path) -> None:
    place = offsite.FolderStore(tmp_path / "not" / "mounted")

    copied = offsite.copy(home, place, proven, read_key(home.backup_key))

    assert not copied.ok
    assert "isn't there" in copied.found
    assert offsite.copy(home, offsite.FolderStore(home.home), proven, read_key(home.backup_key)).ok


# --- removing; last, as it takes sets away that others use ---------------------------------------------------


def test_pruning_keeps_the_newest_proven_set_and_says_what_goes(home: Settings) -> None:
    good = make(home)
    assert prove(home, good) == []

    code, planned = command(home, "prune", "--dry-run")
    assert (code, planned["kept"][good.name]) == (0, "the last proven one")
    assert all((home.backup_sets / name).exists() for name in planned["removed"])

    assert command(home, "prune")[1]["removed"] == planned["removed"]
    assert {folder.name for folder in sets.set_folders(home.backup_sets)} == set(planned["kept"])
    assert command(home, "status")[0] == 0


# --- a new key ---------------------------------------------------------------------------------------------


def test_after_a_new_key_sets_of_before_and_after_restore_and_a_lost_old_key_is_told(
    home: Settings, tmp_path: Path
) -> None:
    old, older = read_key(home.backup_key), make(home)
    rotation.rotate(home, "backup_key", lambda *_: None)
    newer = make(home)

    assert [prove(home, folder) for folder in (older, newer)] == [[], []]
    restored = restoring.restore(home, older, read_key(home.backup_key), {"warehouse": "of_before"})
    assert restored.verdict.is_good

    (tmp_path / "new.key").write_text(key_text(replace(read_key(home.backup_key), earlier=())), encoding="utf-8")
    (tmp_path / "old.key").write_text(key_text(old), encoding="utf-8")
    for file, folder in (("new.key", older), ("old.key", newer)):
        code, answer = command(home, "verify", str(folder), "--key", str(tmp_path / file))
        assert (code, answer["verdict"]) == (3, "failed")
        assert "made with another key" in answer["checks"]["manifest"]["found"]


# --- before migrations -------------------------------------------------------------------------------------


def test_a_database_with_data_is_backed_up_and_proven_before_it_is_migrated_and_the_set_is_the_way_back(
    new_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaking = migrating.Migration("9999_break_sales.sql", "update core.sales set net_amount = 0")
    newer = [*migrating.migrations(), breaking]
    steps: list[str] = []

    @contextmanager
    def step(text: str) -> Iterator[None]:
        steps.append(text)
        yield

    def up(settings: Settings, **how: Any) -> tuple[int, bool]:
        """How many sets there are afterwards, and whether the migration was applied."""
        with monkeypatch.context() as checkout:
            checkout.setattr("db.migrate.migrations", lambda: newer)
            stack.up(settings, only=["postgres"], step=step, **how)
        return standing(settings)

    def standing(settings: Settings) -> tuple[int, bool]:
        rows = execute(settings, "owner", "select sum(net_amount)::text from core.sales")
        names = execute(settings, "owner", "select name from ops.applied_migrations where name like '9999%'")
        assert rows == [("0.00",)] if names else rows == [("9.50",)]
        return len(sets.set_folders(settings.backup_sets)), bool(names)

    with new_server() as settings:
        stack.up(settings, only=["postgres"], step=step)
        assert not [text for text in steps if "backing up" in text], "a new home has nothing to lose"
        deliver_sheet(settings)
        run(settings)
        settings.backup_sets.write_text("no folder", encoding="utf-8")
        with pytest.raises(MigrationError, match="no backup could be made") as refused:
            up(settings)
        assert "--without-backup" in str(refused.value.next)
        settings.backup_sets.unlink()
        assert standing(settings) == (0, False)

        assert up(settings) == (1, True)
        assert "backing up before 9999_break_sales.sql" in steps
        [folder] = sets.set_folders(settings.backup_sets)
        assert ledger.proven_sets(ledger.entries(settings)) == {folder.name}
        assert up(settings) == (1, True)

        code, _ = command(settings, "restore", folder.name, "--replace", "warehouse", "--replace", "n8n")
        assert code == 0
        assert standing(settings) == (1, False)
        assert up(settings, backup=False) == (1, True)
