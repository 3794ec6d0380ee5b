"""Point in time on a real server: a base copy, changes as they happen, and any moment between brought back."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
import typer
from typer.testing import CliRunner

from backups import changes
from backups.key import make_key
from db.connection import connect
from panpan.cli import backups as commands
from panpan.errors import PanpanError, UsageError
from panpan.local import postgres, stack
from panpan.settings import HOME_FILE, Settings, load_settings


def execute(settings: Settings, statement: str) -> list[Any]:
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


def command(home: Path, *words: str) -> tuple[int, dict[str, Any]]:
    app = typer.Typer()
    commands.register(app)
    answer = CliRunner().invoke(app, ["backups", *words, "--home", str(home), "--json"])
    if answer.exception and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    return answer.exit_code, json.loads(answer.stdout.splitlines()[-1])


def until(act: Callable[[], bool], seconds: float = 60) -> float:
    begun = time.monotonic()
    while not act():
        assert time.monotonic() - begun < seconds
        time.sleep(0.1)
    return time.monotonic() - begun


@pytest.fixture(scope="module")
def streaming(new_server: Any) -> Iterator[Settings]:
    """A home whose changes are received, with a key and no base yet."""
    with new_server() as server:
        file = server.home / HOME_FILE
        file.write_text(file.read_text(encoding="utf-8") + "PANPAN_POINT_IN_TIME=true\n", encoding="utf-8")
        settings = load_settings(home=server.home)
        make_key(settings.backup_key, commands.application_keys(settings), sets_exist=False)
        stack.up(settings, only=["postgres", "changes"])
        with connect(settings, "postgres", "n8n") as connection, connection.cursor() as cursor:
            cursor.execute("create table credentials_entity (id text primary key, name text, data text)")
        execute(settings, "create table public.notes (note text, at timestamptz default clock_timestamp())")
        yield settings
        stack.down(settings)


def test_a_moment_between_two_changes_is_restored(
    streaming: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    code, made = command(streaming.home, "base")
    assert (code, made["changes"]["ok"]) == (0, True)
    base_file = Path(made["folder"]) / changes.TAR
    assert base_file.read_bytes()[:20].startswith(b"age-encryption.org")

    execute(streaming, "insert into public.notes values ('kept')")
    time.sleep(0.1)
    before_damage = datetime.now(UTC)
    time.sleep(0.1)
    execute(streaming, "delete from public.notes")
    execute(streaming, "insert into public.notes values ('later')")
    written_at = time.monotonic()
    execute(streaming, "select pg_current_wal_flush_lsn()")
    until(lambda: changes.check(streaming).ok)

    # The machine dies: what was received until then is all there is.
    server = postgres.daemon(streaming).process()
    assert server is not None
    until(lambda: time.monotonic() - written_at > 2)
    for process in [*server.children(recursive=True), server]:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    psutil.wait_procs([server], timeout=30)

    rewound = new_home(tmp_path_factory)
    code, told = command(
        rewound, "restore-to", before_damage.isoformat(), "--from", str(streaming.changes_folder),
        "--key", str(streaming.backup_key),
    )  # fmt: skip
    assert code == 0
    settings = load_settings(home=rewound)
    assert execute(settings, "select note from public.notes") == [("kept",)]
    assert datetime.fromisoformat(told["last_change"]) <= before_damage
    postgres.destroy(settings)

    newest = new_home(tmp_path_factory)
    command(
        newest, "restore-to", "latest", "--from", str(streaming.changes_folder), "--key", str(streaming.backup_key)
    )  # fmt: skip
    settings = load_settings(home=newest)
    assert execute(settings, "select note from public.notes") == [("later",)], "two seconds are lost at most"
    execute(settings, "insert into public.notes values ('goes on')")
    postgres.destroy(settings)


def test_what_can_t_be_restored_is_said(streaming: Settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    words = ("--from", str(streaming.changes_folder), "--key", str(streaming.backup_key))

    with pytest.raises(UsageError, match="that moment can't be restored"):
        command(new_home(tmp_path_factory), "restore-to", "2001-01-01", *words)
    with pytest.raises(UsageError, match="is no moment"):
        command(new_home(tmp_path_factory), "restore-to", "tomorrow", *words)
    future = new_home(tmp_path_factory)
    with pytest.raises(PanpanError) as refused:
        command(future, "restore-to", "2999-01-01", *words)
    assert "can't be applied" in str(refused.value)
    assert not (future / "postgres" / "data").exists()


def test_a_stream_that_stopped_is_said_and_taken_up_again(streaming: Settings) -> None:
    stack.up(streaming, only=["postgres", "changes"])
    until(lambda: changes.check(streaming).ok)
    process = next(server for server in stack.SERVERS if server.name == "changes").daemon(streaming)

    process.stop()

    assert "does not run" in commands.judged(streaming).checks["changes"].found
    execute(streaming, "insert into public.notes values ('while nobody received')")
    stack.up(streaming, only=["changes"])
    until(lambda: changes.check(streaming).ok)


def test_old_bases_go_and_so_do_changes_before_them(streaming: Settings) -> None:
    stack.up(streaming, only=["postgres", "changes"])
    segments = streaming.changes_folder / "segments"
    for _ in range(3):
        command(streaming.home, "base")
        with connect(streaming, "postgres", autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("select pg_switch_wal()")

    known = changes.bases(streaming.changes_folder)

    assert len(known) == changes.KEPT
    assert min(file.name for file in segments.iterdir())[:24] >= known[-1].first_segment


def test_nobody_may_receive_changes_where_they_are_not_kept(server: Settings, template: str) -> None:
    with connect(server, "postgres", "postgres") as connection, connection.cursor() as cursor:
        cursor.execute("select rolreplication from pg_roles where rolname = 'backup'")
        assert cursor.fetchone() == (False,)


def new_home(factory: pytest.TempPathFactory) -> Path:
    folder = factory.mktemp("moment")
    for each in (folder, folder.parent, folder.parent.parent):
        each.chmod(0o755)  # a place the server's account can enter
    return folder / "home"
