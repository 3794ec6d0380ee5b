"""
The servers of this home as processes: which run, what they listen on, what a killed one left behind. In containers,
whose processes nobody else sees: which answer.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import psutil

from db.connection import connect
from panpan.doctor.check import Checks, Verdict, bad, none_of, well
from panpan.doctor.pages import ask_pages
from panpan.errors import DatabaseError, ServerError
from panpan.local import metabase, n8n, postgres, stack
from panpan.local.process import works_in
from panpan.settings import Settings

LOOPBACK = ("127.", "::1", "::ffff:127.")
UP = "bin/panpan up; the end of its log in the home's logs/ says why it stopped (in containers: docker compose logs)"
BEAT = timedelta(minutes=10)

checks = Checks()


@dataclass(frozen=True)
class Servers:
    """
    running and answering: names. open_binds: "name address:port" beside loopback. shared_ports: settings with one port.
    taken_ports: ports of stopped servers that a stranger has. leftovers: processes without their server.
    no_metabase: why none is started here.
    """

    running: set[str]
    answering: set[str]
    open_binds: list[str]
    shared_ports: list[str]
    taken_ports: list[str]
    leftovers: list[str]
    no_metabase: str | None = None


def look(settings: Settings) -> Servers:
    """Look through the processes once; in containers, ask the servers."""
    if settings.in_containers:
        answering = {name for name, answers in ASKED.items() if answers(settings)}
        return Servers(answering, answering, [], [], [], [])
    running = {server.name for server in stack.SERVERS if server.daemon(settings).process()}
    by_folder = {server.name: str(server.daemon(settings).folder.resolve()) for server in stack.SERVERS}
    ports = {server.name: server.port(settings) for server in stack.SERVERS}
    ours: dict[int, str] = {}
    for process in psutil.process_iter():
        for name, folder in by_folder.items():
            if works_in(process, folder):
                ours[process.pid] = name
    return Servers(
        running=running,
        answering={each.name for each in stack.SERVERS if each.name in running and each.is_healthy(settings)},
        open_binds=open_binds(ours),
        shared_ports=shared_ports(settings),
        taken_ports=[
            f"{name} {port}" for name, port in ports.items() if port and name not in running and listens(port)
        ],
        leftovers=[f"{name} ({pid})" for pid, name in ours.items() if name not in running],
        no_metabase=metabase.why_not(settings),
    )


def worker_answers(settings: Settings) -> bool:
    """Whether the worker judged the alert rules some minutes ago: it has no door to knock at."""
    try:
        with connect(settings, "web") as connection, connection.cursor() as cursor:
            cursor.execute("select max(tried_at) > now() - %s from marts.alert_heartbeat", (BEAT,))
            return cursor.fetchone() == (True,)
    except DatabaseError:
        return False


def web_answers(settings: Settings) -> bool:
    """Whether our pages answer."""
    try:
        return ask_pages(settings, "health").ok
    except ServerError:
        return False


ASKED: dict[str, Callable[[Settings], bool]] = {
    "postgres": postgres.accepts,
    "n8n": n8n.is_ready,
    "worker": worker_answers,
    "web": web_answers,
}


def open_binds(ours: dict[int, str]) -> list[str]:
    """Where processes of ours listen beside loopback."""
    found = []
    for pid, name in ours.items():
        with suppress(psutil.Error):
            for connection in psutil.Process(pid).net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and not connection.laddr.ip.startswith(LOOPBACK):
                    found.append(f"{name} {connection.laddr.ip}:{connection.laddr.port}")
    return sorted(set(found))


def shared_ports(settings: Settings) -> list[str]:
    """Settings of servers of ours that name the same port."""
    ports = {name: getattr(settings, name) for name in Settings.model_fields if name.endswith("_port")}
    ours = {"metabase_port", *(name for name in ports if Settings.model_fields[name].is_required())}
    local = {name: port for name, port in ports.items() if name in ours and port}
    counts = Counter(local.values())
    return [name for name, port in local.items() if counts[port] > 1]


def listens(port: int) -> bool:
    """Whether somebody answers on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _runs(name: str, label: str, servers: Servers) -> Verdict:
    if name not in servers.running:
        return bad(f"{label} does not run", UP)
    if name not in servers.answering:
        return bad(f"{label} runs and does not answer", f"bin/panpan down, then {UP}")
    return well(f"{label} runs and answers")


@checks.add("postgres-runs", "error", Servers)
def postgres_runs(servers: Servers) -> Verdict:
    return _runs("postgres", "PostgreSQL", servers)


@checks.add("n8n-runs", "error", Servers)
def n8n_runs(servers: Servers) -> Verdict:
    return _runs("n8n", "n8n", servers)


@checks.add("worker-runs", "error", Servers)
def worker_runs(servers: Servers) -> Verdict:
    return _runs("worker", "the worker", servers)


@checks.add("web-runs", "error", Servers)
def web_runs(servers: Servers) -> Verdict:
    return _runs("web", "panpan's web server", servers)


@checks.add("metabase-runs", "warning", Servers, machine=True)
def metabase_runs(servers: Servers) -> Verdict:
    if servers.no_metabase:
        return well(f"no Metabase is started here: {servers.no_metabase}")
    return _runs("metabase", "Metabase", servers)


@checks.add("ports-differ", "error", Servers, machine=True)
def ports_differ(servers: Servers) -> Verdict:
    fix = "remove one of the lines from settings.env, then bin/panpan init chooses a free port"
    return none_of(servers.shared_ports, "every server has a port of its own", "the same port is given to", fix)


@checks.add("ports-free", "error", Servers, machine=True)
def ports_free(servers: Servers) -> Verdict:
    fix = "stop that program, or remove the port from settings.env and run bin/panpan init"
    return none_of(servers.taken_ports, "no stranger sits on our ports", "another program has the port of", fix)


@checks.add("processes-known", "warning", Servers, machine=True)
def processes_known(servers: Servers) -> Verdict:
    fix = "bin/panpan down ends them, then bin/panpan up"
    return none_of(servers.leftovers, "no process was left behind", "left behind by a killed server", fix)


@checks.add("binds-loopback", "error", Servers, security=True, machine=True)
def binds_loopback(servers: Servers) -> Verdict:
    fix = "remove the listen address you set, then bin/panpan down and bin/panpan up; a proxy may stand in front"
    return none_of(servers.open_binds, "every server listens on this machine only", "open to the network", fix)
