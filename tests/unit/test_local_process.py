"""A detached process is found again by its record, and by its folder when the record is gone or wrong."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from panpan.errors import ServerError
from panpan.local.files import lock
from panpan.local.process import Daemon, last_lines

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
WITH_CHILD = [
    sys.executable,
    "-c",
    "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
    "print('ready', flush=True); time.sleep(60)",
]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);print('ready', flush=True); time.sleep(60)",
]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path, "sleeper")
    yield daemon
    daemon.stop(seconds=0.1)


def start(daemon: Daemon, command: list[str]) -> psutil.Process:
    daemon.start(command, dict(os.environ))
    if "ready" in command[-1]:
        daemon.wait_until(lambda: "ready" in last_lines(daemon.log), 10)
    process = daemon.process()
    assert process is not None
    return process


def test_started_process_is_remembered_in_a_session_of_its_own(daemon: Daemon) -> None:
    process = start(daemon, SLEEP)

    assert os.getsid(process.pid) == process.pid
    assert process.cwd() == str(daemon.folder)
    assert daemon.record_file.stat().st_mode & 0o077 == 0


def test_stopped_process_is_gone_with_its_children(daemon: Daemon) -> None:
    process = start(daemon, WITH_CHILD)
    children = process.children()

    assert daemon.stop() is True

    assert len(children) == 1
    assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in [process, *children])
    assert daemon.stop() is False


def test_process_that_ignores_the_request_is_killed(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("panpan.local.process.KILL_SECONDS", 0.5)
    start(daemon, STUBBORN)

    assert daemon.stop(seconds=0.2) is True

    assert daemon.members() == []


def test_children_of_a_killed_process_are_found_and_stopped(daemon: Daemon) -> None:
    process = start(daemon, WITH_CHILD)
    os.kill(process.pid, signal.SIGKILL)
    while daemon.process():
        time.sleep(0.01)

    assert len(daemon.members()) == 1
    assert daemon.stop() is True
    assert daemon.members() == []


def test_process_without_record_is_found_by_its_folder(daemon: Daemon) -> None:
    process = start(daemon, SLEEP)
    daemon.record_file.unlink()

    assert daemon.process() is None
    assert daemon.members() == [process]


def test_stale_record_is_no_process(daemon: Daemon) -> None:
    process = start(daemon, SLEEP)
    text = daemon.record_file.read_text()
    daemon.stop()

    daemon.record_file.write_text(text)

    assert not psutil.pid_exists(process.pid)
    assert daemon.process() is None


def test_pid_used_again_by_another_program_is_left_alone(daemon: Daemon) -> None:
    own = psutil.Process()
    record = {"pid": own.pid, "created": own.create_time() - 3600, "command": "old", "log_start": 0}
    daemon.record_file.parent.mkdir(parents=True)
    daemon.record_file.write_text(json.dumps(record))

    assert daemon.process() is None
    assert daemon.stop() is False


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
def test_damaged_record_is_no_record(daemon: Daemon, text: str) -> None:
    daemon.record_file.parent.mkdir(parents=True)
    daemon.record_file.write_text(text)

    assert daemon.process() is None


def test_failed_start_tells_what_the_process_wrote_this_time(daemon: Daemon) -> None:
    daemon.log.parent.mkdir(parents=True)
    daemon.log.write_text("of an earlier start\n")
    daemon.start([sys.executable, "-c", "raise SystemExit('the port is taken')"], dict(os.environ))

    with pytest.raises(ServerError) as caught:
        daemon.wait_until(lambda: False, 10)

    assert caught.value.message == "sleeper stopped while starting"
    assert caught.value.cause == "the port is taken"


def test_silent_server_is_given_up(daemon: Daemon) -> None:
    start(daemon, SLEEP)

    with pytest.raises(ServerError, match="gave no answer within 0 seconds"):
        daemon.wait_until(lambda: False, 0.2)


def test_program_that_is_missing_is_named(daemon: Daemon) -> None:
    with pytest.raises(ServerError) as caught:
        daemon.start(["/nowhere/postgres"], {})

    assert "/nowhere/postgres" in str(caught.value.cause)


def test_large_log_is_put_aside(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("panpan.local.process.LOG_BYTES", 3)
    daemon.log.parent.mkdir(parents=True)
    daemon.log.write_text("much text")

    start(daemon, SLEEP)

    assert daemon.log.with_suffix(".log.1").read_text() == "much text"
    assert daemon.log.read_text() == ""


def test_second_holder_of_a_lock_gives_up_with_a_sentence(tmp_path: Path) -> None:
    with (
        lock(tmp_path / "lock"),
        pytest.raises(ServerError, match="another panpan command"),
        lock(tmp_path / "lock", wait_seconds=0.1),
    ):
        pass

    with lock(tmp_path / "lock", wait_seconds=0):
        pass
