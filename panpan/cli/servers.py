"""
Commands about the local servers: init, up, down, status.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, NoReturn

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from panpan import status as everything
from panpan.cli import output
from panpan.cli.options import AsJson, Home, WithoutBackup
from panpan.local import stack
from panpan.local.initialise import initialise, is_initialised
from panpan.settings import HOME_FILE, home_folder, load_settings

SAY_EVERY_SECONDS = 10


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("init")(init)
    app.command("up")(up)
    app.command("down")(down)
    app.command("status")(status)


def init(home: Home = None, as_json: AsJson = False) -> None:
    """
    Create the home folder with generated secrets and free ports.

    Run again it changes nothing.  Example: panpan init --home /srv/panpan
    """
    settings = initialise(home_folder(home))
    if as_json:
        output.print_json({"home": settings.home, "settings": settings.home / HOME_FILE})
    else:
        output.results.print(f"{settings.home / HOME_FILE} holds the secrets and ports of this home", highlight=False)


def up(
    home: Home = None,
    simulate: Annotated[bool, typer.Option("--simulate", help="Also start the simulated source systems.")] = False,
    only: Annotated[list[str] | None, typer.Option("--only", help="Start just this server; repeatable.")] = None,
    without_backup: WithoutBackup = False,
    as_json: AsJson = False,
) -> None:
    """
    Start PostgreSQL, n8n, the worker and the web pages, and Metabase where its program is at hand.

    What runs already is left alone. Creates the home when it is new; makes and proves a backup before migrations.
    Example: panpan up --simulate
    """
    refuse_unknown_servers(only)
    folder = home_folder(home)
    settings = initialise(folder, simulated=simulate)
    seconds: dict[str, float] = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    with timed_steps(seconds) as step:
        started = stack.up(settings, only=only, simulate=simulate, backup=not without_backup, step=step)
    states, shown = stack.status(settings), stack.dashboards_sentence(settings)
    if as_json:
        servers = [asdict(state) for state in states]
        output.print_json({"started": started, "servers": servers, "seconds": seconds, "dashboards": shown})
        return
    for sentence in [*sentences([state for state in states if state.running]), shown]:
        output.results.print(sentence, markup=False, highlight=False)


def down(home: Home = None, as_json: AsJson = False) -> None:
    """
    Stop every server of the home.

    Nothing is lost; `panpan up` starts them again.  Example: panpan down
    """
    stopped: list[str] = []
    if is_initialised(home_folder(home)):
        with timed_steps({}) as step:
            stopped = stack.down(load_settings(home=home), step=step)
    if as_json:
        output.print_json({"stopped": stopped})
    else:
        output.results.print(f"stopped {', '.join(stopped)}" if stopped else "nothing was running", highlight=False)


def status(home: Home = None, as_json: AsJson = False) -> None:
    """
    Say how everything stands: stores, sources, yesterday's revenue, and which servers run.

    Exit code 1 when the database can't be reached.  Example: panpan status --json
    """
    settings = load_settings(home=home)
    states = stack.status(settings)
    found = everything.read_status(settings)
    said = [*found.sentences, *sentences(states), stack.dashboards_sentence(settings)]
    if as_json:
        servers = [{**asdict(state), "sentence": sentence(state)} for state in states]
        output.print_json(
            {**everything.as_json(found), "sentences": said, "servers": servers}, ok=found.failure is None
        )
    else:
        for each in said:
            output.results.print(each, markup=False, highlight=False)
    if found.failure:
        raise typer.Exit(1)


def sentences(states: list[stack.ServerState]) -> list[str]:
    """One sentence per server."""
    return [sentence(state) for state in states]


def sentence(state: stack.ServerState) -> str:
    """How a server is, in words."""
    name = f"{state.name} {state.version}".strip()
    if not state.running:
        return f"{name} is not running."
    where = f" on 127.0.0.1:{state.port}" if state.port else ""
    memory = f", {state.memory_bytes / 2**20:.0f} MB" if state.memory_bytes else ""
    return f"{name} {'runs' if state.healthy else 'runs but does not answer'}{where} (pid {state.pid}{memory})."


def refuse_unknown_servers(only: list[str] | None) -> None:
    """Errors: typer's wrong use when a name is no server."""
    names = [server.name for server in stack.SERVERS]
    if unknown := sorted(set(only or ()) - set(names)):
        raise typer.BadParameter(f"no server {', '.join(unknown)}; there are {', '.join(names)}", param_hint="--only")


@contextmanager
def timed_steps(seconds: dict[str, float]) -> Iterator[stack.Step]:
    """A step wrapper that shows each step on stderr and puts its seconds into the given dictionary."""

    @contextmanager
    def step(text: str) -> Iterator[None]:
        begun = time.monotonic()
        with _spinner(text) if output.talk.is_terminal else _lines(text):
            yield
        seconds[text] = round(time.monotonic() - begun, 2)
        output.talk.print(f"{text}: {seconds[text]:.1f} s", markup=False, highlight=False)

    yield step


@contextmanager
def _spinner(text: str) -> Iterator[None]:
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=output.talk, transient=True) as progress:
        progress.add_task(text, total=None)
        yield


@contextmanager
def _lines(text: str) -> Iterator[None]:
    over = threading.Event()

    def tell() -> None:
        begun = time.monotonic()
        while not over.wait(SAY_EVERY_SECONDS):
            passed = time.monotonic() - begun
            output.talk.print(f"{text} ... {passed:.0f} s", markup=False, highlight=False)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def _end(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)  # an exception, so that `up` stops what it started
