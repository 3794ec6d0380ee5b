"""
All servers of a home together: started in order, stopped in reverse, looked at.

Comes in: settings. Goes out: running servers; `up` either brings all up or leaves none of its own behind.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from db.connection import connect
from db.migrate import migrate, open_to_backup, pending_over_data
from metabase.jar import VERSION as METABASE_VERSION
from panpan import dashboards
from panpan.errors import PanpanError
from panpan.local import mail_catcher, metabase, n8n, postgres, rotation
from panpan.local.backup_command import back_up_before
from panpan.local.files import lock
from panpan.local.initialise import keep_setting
from panpan.local.n8n_deploy import deploy_workflows
from panpan.local.n8n_install import install, install_folder, pinned_version
from panpan.local.process import Daemon, memory_bytes
from panpan.local.programs import Program
from panpan.settings import Settings, refuse_weak_secrets

POSTGRES = "postgres"
SIMULATE = "simulate"
MAILS = "mails"
CHANGES = "changes"
PROGRAMS = (
    Program(SIMULATE, "the simulated source systems", "panpan.simulate", port_setting="simulate_port"),
    Program(MAILS, "the mail catcher", "panpan.local.mail_catcher", ready_text=mail_catcher.READY),
    Program(CHANGES, "the stream of changes", "backups.changes", ready_text="receiving changes"),
    Program("worker", "the worker", "panpan.scheduler", ready_text="worker started"),
    Program("web", "the web pages", "panpan.web", port_setting="web_port"),
)

# Wraps each step of `up`; the command line shows it and takes its time.
Step = Callable[[str], AbstractContextManager[object]]


@dataclass(frozen=True)
class Server:
    """One server as the stack sees it."""

    name: str
    daemon: Callable[[Settings], Daemon]
    start: Callable[[Settings, Step], None]
    stop: Callable[[Settings], bool]
    is_healthy: Callable[[Settings], bool]
    port: Callable[[Settings], int | None]
    version: Callable[[Settings], str]


@dataclass(frozen=True)
class ServerState:
    """How one server is now; pid and memory are None while it doesn't run."""

    name: str
    running: bool
    healthy: bool
    port: int | None
    pid: int | None
    version: str
    memory_bytes: int | None


def up(
    settings: Settings,
    *,
    only: Collection[str] | None = None,
    simulate: bool = False,
    backup: bool = True,
    step: Step = nullcontext,
) -> list[str]:
    """
    Start what isn't running, bring schema and workflows to what the files say. Again, it changes nothing.

    only: names of servers to start, None for all; simulate: also the simulated source systems; backup: make and prove
    a backup set before the database of a home with data is migrated.
    Gives the names of the servers started now.
    Errors: PanpanError of the step that failed; what this call had started is stopped again. SettingsError when a
    secret can be guessed; nothing is started then.
    """
    refuse_weak_secrets(settings)
    with lock(settings.home / "run" / "up.lock"):
        started: list[Server] = []
        settings = rotation.decided(settings)
        try:
            for server in _wanted(settings, only, simulate):
                if server.daemon(settings).process() is None:
                    started.append(server)
                    if server.name == "n8n":
                        rotation.finish(settings)  # its key may have been about to change
                if server.name == POSTGRES:
                    _start_postgres(settings, step, backup=backup)
                else:
                    server.start(settings, step)
        except BaseException:  # also when interrupted
            for server in reversed(started):
                server.stop(settings)
            raise
        if postgres.accepts(settings):
            rotation.finish(settings, restart)
        return [server.name for server in started]


def restart(settings: Settings, names: Collection[str]) -> None:
    """Stop those of the servers that run and start them with the settings as they are now."""
    for server in SERVERS:
        if server.name in names and server.daemon(settings).process() is not None:
            server.stop(settings)
            server.start(settings, nullcontext)


def down(settings: Settings, *, step: Step = nullcontext) -> list[str]:
    """
    Stop every server of the home, the last started first; gives the names of those that ran.

    Errors: ServerError when one can't be stopped, after trying all others.
    """
    stopped = []
    failures: list[PanpanError] = []
    with lock(settings.home / "run" / "up.lock"):
        for server in reversed(SERVERS):
            if not server.daemon(settings).members():
                server.stop(settings)  # clears a stale record
                continue
            try:
                with step(f"stopping {server.name}"):
                    server.stop(settings)
                stopped.append(server.name)
            except PanpanError as error:
                failures.append(error)
    if failures:
        raise failures[0]
    return stopped


def status(settings: Settings) -> list[ServerState]:
    """How each server of this home is, in the order they start."""
    wanted = {CHANGES: settings.point_in_time, metabase.NAME: metabase.why_not(settings) is None}
    return [state(server, settings) for server in SERVERS if wanted.get(server.name, True)]


def dashboards_sentence(settings: Settings) -> str:
    """Who shows the dashboards, and why not Metabase where it doesn't."""
    why = metabase.why_not(settings)
    if why is None:
        return f"The dashboards are in Metabase, {metabase.own_url(settings)}, and on panpan's own pages."
    if settings.metabase_url and not metabase.is_ours(settings):
        return f"The dashboards are in Metabase, {settings.metabase_url}, and on panpan's own pages."
    return f"The dashboards are panpan's own pages: {why}."


def state(server: Server, settings: Settings) -> ServerState:
    """How one server is now."""
    process = server.daemon(settings).process()
    return ServerState(
        name=server.name,
        running=process is not None,
        healthy=process is not None and server.is_healthy(settings),
        port=server.port(settings),
        pid=process.pid if process else None,
        version=server.version(settings),
        memory_bytes=memory_bytes(server.daemon(settings).members()) if process else None,
    )


def _wanted(settings: Settings, only: Collection[str] | None, simulate: bool) -> list[Server]:
    if only is not None:
        return [server for server in SERVERS if server.name in only]
    wanted = {
        SIMULATE: simulate,
        MAILS: simulate,
        CHANGES: settings.point_in_time,
        metabase.NAME: metabase.why_not(settings) is None,
    }
    return [server for server in SERVERS if wanted.get(server.name, True)]


def _start_postgres(settings: Settings, step: Step, *, backup: bool = True) -> None:
    if not postgres.accepts(settings):
        with step("starting PostgreSQL"):
            postgres.start(settings)
    postgres.take_up_password(settings)
    waiting = pending_over_data(settings) if backup else []
    if waiting:
        with step(f"backing up before {', '.join(waiting)}"):
            back_up_before(settings, waiting, drill=True)
    with step("migrating the database"):
        postgres.create_n8n_database(settings)
        if metabase.why_not(settings) is None:
            metabase.create_database(settings)
        migrate(settings)


def _start_n8n(settings: Settings, step: Step) -> None:
    if not install_folder(settings).exists():
        with step(f"installing n8n {pinned_version()} (once, about 2 minutes and 2.6 GB)"):
            install(settings)
    was_down = n8n.daemon(settings).process() is None
    with step("starting n8n and its workflows"):
        deploy_workflows(settings)
    if was_down:
        _fail_loads_of_a_dead_n8n(settings)


def _start_metabase(settings: Settings, step: Step) -> None:
    """Started, claimed before anybody else can, and made what the files say."""
    if metabase.needs_fetch(settings):
        with step(f"downloading Metabase {METABASE_VERSION} (once)"):
            metabase.fetch(settings)
    if metabase.daemon(settings).process() is None:
        metabase.create_database(settings)
        open_to_backup(settings)
    with step("starting Metabase (the first start takes minutes)"):
        metabase.start(settings)
    if not settings.metabase_url:
        keep_setting(settings.home, "metabase_url", metabase.own_url(settings))
        settings = settings.model_copy(update={"metabase_url": metabase.own_url(settings)})
    with step("bringing Metabase's dashboards to what the files say"):
        dashboards.apply(dashboards.with_secrets(settings), seconds=metabase.START_SECONDS)


def _fail_loads_of_a_dead_n8n(settings: Settings) -> None:
    """What was open when n8n ended can't be finished any more; failed, it keeps no new run waiting."""
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute("select ops.fail_abandoned_loads(interval '0')")


def _program(program: Program) -> Server:
    def start(settings: Settings, step: Step) -> None:
        if not program.is_healthy(settings):
            with step(f"starting {program.label}"):
                program.start(settings)

    return Server(
        name=program.name,
        daemon=program.daemon,
        start=start,
        stop=program.stop,
        is_healthy=program.is_healthy,
        port=program.port,
        version=lambda _: "",
    )


SERVERS = (
    Server(
        name=POSTGRES,
        daemon=postgres.daemon,
        start=_start_postgres,
        stop=postgres.stop,
        is_healthy=postgres.accepts,
        port=lambda settings: settings.postgres_port,
        version=postgres.version,
    ),
    Server(
        name="n8n",
        daemon=n8n.daemon,
        start=_start_n8n,
        stop=n8n.stop,
        is_healthy=n8n.is_ready,
        port=lambda settings: settings.n8n_port,
        version=n8n.version,
    ),
    *(_program(program) for program in PROGRAMS),
    Server(
        name=metabase.NAME,
        daemon=metabase.daemon,
        start=_start_metabase,
        stop=metabase.stop,
        is_healthy=metabase.is_ready,
        port=lambda settings: settings.metabase_port,
        version=metabase.version,
    ),
)
