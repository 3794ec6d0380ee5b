"""
Detached server processes of one home: started, remembered, found again, stopped.

A server is remembered in `$PANPAN_HOME/run/<name>.json`. Each has a working folder of its own; what runs in
it without a terminal belongs to the server, so children and processes that lost their record are found too.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from panpan.errors import ServerError
from panpan.local.account import Account
from panpan.local.files import write_private

LOG_BYTES = 10 * 2**20
KILL_SECONDS = 5
TAIL_BYTES = 4096
TAIL_LINES = 8
STARTING_BYTES = 65536  # of a log, in which a program says that it is ready
# psutil derives creation times from the boot time, which moves when the clock is set.
CLOCK_SECONDS = 2.0


@dataclass(frozen=True)
class Record:
    """What is remembered of a started process; pid and created together name it, as pids are used again."""

    pid: int
    created: float
    command: str
    log_start: int


@dataclass(frozen=True)
class Daemon:
    """One server of one home: its name, its log and its working folder (by default run/<name>)."""

    home: Path
    name: str
    working_folder: Path | None = None

    @property
    def folder(self) -> Path:
        return self.working_folder or self.home / "run" / self.name

    @property
    def log(self) -> Path:
        return self.home / "logs" / f"{self.name}.log"

    @property
    def record_file(self) -> Path:
        return self.home / "run" / f"{self.name}.json"

    def start(self, command: Sequence[str], environment: Mapping[str, str], account: Account | None = None) -> None:
        """
        Start the command in a session of its own and remember it; returns at once.

        Errors: ServerError when the program can't be executed.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        rotate(self.log)
        with self.log.open("ab") as log:
            try:
                child = subprocess.Popen(
                    command,
                    cwd=self.folder,
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    **(account.of_process() if account else {}),
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise ServerError(f"{self.name} can't be executed", cause=f"{command[0]}: {error}") from error
            self.remember(child.pid, command[0], log.tell())
        # It shall outlive us; a Popen object without an exit code would warn about just that.
        child.returncode = 0

    def remember(self, pid: int, command: str, log_start: int = 0) -> None:
        """Write the record of a running process; none when it is over already."""
        with suppress(psutil.NoSuchProcess):
            record = Record(pid, psutil.Process(pid).create_time(), command, log_start)
            self.record_file.parent.mkdir(parents=True, exist_ok=True)
            write_private(self.record_file, json.dumps(asdict(record)))

    def record(self) -> Record | None:
        """The record, true or stale; None when there is none or it can't be read."""
        try:
            return Record(**json.loads(self.record_file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def process(self) -> psutil.Process | None:
        """The running process remembered; None when it is over or its pid belongs to another one now."""
        record = self.record()
        if record is None:
            return None
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(record.pid)
            if abs(process.create_time() - record.created) < CLOCK_SECONDS and not is_zombie(process):
                return process
        return None

    def members(self) -> list[psutil.Process]:
        """Every process of this server: all that run in its working folder without a terminal."""
        leader = self.process()
        folder = str(self.folder.resolve())
        found = [p for p in psutil.process_iter() if p != leader and works_in(p, folder)]
        return [leader, *found] if leader else found

    def has_written(self, text: str) -> bool:
        """Whether a text stands in the log since the last start."""
        record = self.record()
        return record is not None and text in _text_since(self.log, record.log_start, STARTING_BYTES)

    def wait_until(self, healthy: Callable[[], bool], seconds: float) -> None:
        """
        Wait until the server answers.

        Errors: ServerError with the last lines of its log when it ends or stays silent.
        """
        deadline = time.monotonic() + seconds
        while not healthy():
            if self.process() is None:
                raise self.failure("stopped while starting")
            if time.monotonic() > deadline:
                raise self.failure(f"gave no answer within {seconds:.0f} seconds")
            time.sleep(0.1)

    def failure(self, what: str) -> ServerError:
        """The error for a server that failed to start; its cause is what it wrote last."""
        record = self.record()
        lines = last_lines(self.log, record.log_start if record else 0)
        return ServerError(f"{self.name} {what}", cause=lines or "it wrote nothing", next=f"see {self.log}")

    def stop(self, *, first: signal.Signals = signal.SIGTERM, seconds: float = 30) -> bool:
        """
        Stop the server and all its children: asked first, then told, then killed. False when nothing ran.

        Errors: ServerError when a process can't be ended.
        """
        everyone = self.members()
        leader = self.process()
        if leader:
            # The leader alone at first: most servers end their own children in good order.
            send(leader, first)
            wait_for_end([leader], seconds)
        for number in (signal.SIGTERM, signal.SIGKILL):
            rest = alive(self.members())
            for process in rest:
                send(process, number)
            wait_for_end(rest, KILL_SECONDS)
        if left := alive(self.members()):
            raise ServerError(
                f"{self.name} can't be stopped",
                cause=f"still running: {', '.join(str(p.pid) for p in left)}",
                next="stop these processes as the user who started them",
            )
        self.record_file.unlink(missing_ok=True)
        return bool(everyone)


def memory_bytes(processes: Sequence[psutil.Process]) -> int:
    """Main memory of some processes, shared pages counted once where the system tells."""
    return sum(_memory_bytes(process) for process in processes)


def _memory_bytes(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        try:
            return int(process.memory_full_info().pss)
        except (psutil.AccessDenied, AttributeError):
            return int(process.memory_info().rss)
    return 0


def works_in(process: psutil.Process, folder: str) -> bool:
    """Whether a process sits in this folder and has no terminal (a person's shell has one)."""
    try:
        return process.cwd() == folder and process.terminal() is None and not is_zombie(process)
    except psutil.Error:
        return False


def is_zombie(process: psutil.Process) -> bool:
    """Whether a process is over and only waits to be reaped; one of our own is reaped here."""
    if process.status() != psutil.STATUS_ZOMBIE:
        return False
    with suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    return True


def alive(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those still running."""
    running = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if not is_zombie(process):
                running.append(process)
    return running


def wait_for_end(processes: Sequence[psutil.Process], seconds: float) -> None:
    """Wait until all are over. A zombie is: in a container often nobody reaps it."""
    deadline = time.monotonic() + seconds
    while alive(processes) and time.monotonic() < deadline:
        time.sleep(0.05)


def send(process: psutil.Process, number: signal.Signals) -> None:
    """Signal a process, if it is still there and ours to signal."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        process.send_signal(number)


def rotate(log: Path) -> None:
    """Put a log that grew large aside; one older one is kept."""
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))


def last_lines(log: Path, start: int = 0) -> str:
    """The last lines written to a log from a position on."""
    size = log.stat().st_size if log.exists() else 0
    text = _text_since(log, max(start, size - TAIL_BYTES), TAIL_BYTES)
    return "\n".join([line for line in text.splitlines() if line.strip()][-TAIL_LINES:])


def _text_since(log: Path, start: int, size: int) -> str:
    try:
        with log.open("rb") as stream:
            stream.seek(start)
            return stream.read(size).decode("utf-8", errors="replace")
    except OSError:
        return ""
