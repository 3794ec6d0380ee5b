"""
The services of docker-compose.yml without an engine: each command, environment and health check as the file has it.

Only addresses, ports and places differ (127.0.0.1 for a service's name, a folder for /run/secrets), as `native` says.
Metabase, Caddy, Redis and the mail catcher have no program here and are not run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from dotenv import dotenv_values

from db.connection import connect
from panpan.local import n8n, postgres
from panpan.local.initialise import initialise
from panpan.local.n8n_install import install, node_program
from panpan.local.n8n_remote import deploy_remote
from panpan.local.workflows import read_workflows
from panpan.settings import CHECKOUT, HOME_FILE, PREFIX, Settings

pytestmark = pytest.mark.servers

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text("utf-8"))["services"]
PASSWORD = "a-password-of-the-test-1"
SECONDS = 240


@pytest.fixture(scope="module")
def home() -> Iterator[Settings]:
    """A home whose PostgreSQL stands for the container of that name."""
    folder = Path(tempfile.mkdtemp(prefix="panpan-test-", dir="/tmp"))
    folder.chmod(0o755)
    settings = initialise(folder / "home")
    try:
        postgres.start(settings)
        yield settings
    finally:
        postgres.destroy(settings)
        shutil.rmtree(folder, ignore_errors=True)


def native(service: str, settings: Settings) -> dict[str, str]:
    """The environment of a service as the file says, for this machine."""
    given = {name: value or "" for name, value in dotenv_values(settings.home / HOME_FILE).items()}
    secrets = settings.home / "secrets"
    secrets.mkdir(mode=0o700, exist_ok=True)
    for name in SERVICES[service].get("secrets", []):
        (secrets / name).write_text(given[name.upper()], encoding="utf-8")
    here = {
        "PANPAN_HOME": str(settings.home),
        "PANPAN_DATABASE_HOST": "127.0.0.1",
        "PANPAN_N8N_HOST": "127.0.0.1",
        "PANPAN_WEB_HOST": "127.0.0.1",
        "DB_POSTGRESDB_HOST": "127.0.0.1",
        "DB_POSTGRESDB_PORT": str(settings.postgres_port),
        "N8N_LISTEN_ADDRESS": "127.0.0.1",
        "N8N_PORT": str(settings.n8n_port),
        "N8N_RUNNERS_BROKER_LISTEN_ADDRESS": "127.0.0.1",
        "N8N_RESTRICT_FILE_ACCESS_TO": str(settings.inbox),
        **{
            f"{PREFIX}{name.upper()}": str(getattr(settings, name)) for name in Settings.model_fields if "_port" in name
        },
    }
    written = {name: filled(str(value), given) for name, value in SERVICES[service].get("environment", {}).items()}
    values = {name: here.get(name, value) for name, value in written.items()}
    if "n8nio/n8n" in SERVICES[service]["image"]:
        values["N8N_RUNNERS_BROKER_PORT"] = str(settings.n8n_broker_port)  # several run on a machine
    values |= {name: value.replace("/run/secrets", str(secrets)) for name, value in values.items() if "_FILE" in name}
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), "LANG": "C.UTF-8", **values}


def filled(text: str, given: dict[str, str]) -> str:
    """A value with its variables filled in, as compose does it."""
    return re.sub(r"\$\{(\w+)(?::[-?]([^}]*))?\}", lambda m: given.get(m[1]) or (m[2] or ""), text)


def command_of(service: str, settings: Settings) -> list[str]:
    """The image's entrypoint and the file's command."""
    if "build" in SERVICES[service]:
        return [sys.executable, "-P", "-m", *SERVICES[service]["command"]]
    folder = install(settings) / "node_modules" / "n8n" / "bin" / "n8n"
    return [str(node_program()), str(folder), *SERVICES[service].get("command", ["start"])]


def is_healthy(service: str, settings: Settings, environment: dict[str, str]) -> bool:
    """Whether the health check of the file says so."""
    ports = {"8000": settings.web_port, "5678": settings.n8n_port, "8001": settings.simulate_port}
    words = [str(word) for word in SERVICES[service]["healthcheck"]["test"][1:]]
    words = [re.sub(r"127\.0\.0\.1:(\d+)", lambda m: f"127.0.0.1:{ports[m[1]]}", word) for word in words]
    program = {"node": str(node_program()), "python": sys.executable}[words[0]]
    answer = subprocess.run(
        [program, *words[1:]], env=environment, cwd=settings.home, capture_output=True, timeout=60, check=False
    )
    return answer.returncode == 0


@contextmanager
def running(service: str, settings: Settings, **more: str) -> Iterator[dict[str, str]]:
    """A service while the caller needs it, once its own health check is content."""
    environment = {**native(service, settings), **more}
    log = settings.home / "logs" / f"{service}.native.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command_of(service, settings),
            env=environment,
            cwd=settings.home,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + SECONDS
        while not is_healthy(service, settings, environment):
            assert process.poll() is None, log.read_text(errors="replace")[-3000:]
            assert time.monotonic() < deadline, log.read_text(errors="replace")[-3000:]
            time.sleep(0.5)
        yield environment
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def run(service: str, settings: Settings, *words: str, said: str = "") -> str:
    """A command in a service's place; gives what it printed."""
    command = [*command_of(service, settings)[:3], *words] if words else command_of(service, settings)
    answer = subprocess.run(
        command,
        env=native(service, settings),
        cwd=settings.home,
        input=said,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.fixture(scope="module")
def prepared(home: Settings) -> Settings:
    """What the service `prepare` leaves."""
    assert "0001" in run("prepare", home)
    return home


def test_preparing_again_changes_nothing(prepared: Settings) -> None:
    assert run("prepare", prepared).strip() == "migrations: nothing"
    with connect(prepared, "postgres", "postgres") as connection, connection.cursor() as cursor:
        cursor.execute("select datname from pg_database where datname in ('n8n', 'metabase', 'warehouse') order by 1")
        assert cursor.fetchall() == [("metabase",), ("n8n",), ("warehouse",)]


def test_worker_is_healthy(prepared: Settings) -> None:
    with running("worker", prepared) as environment:
        assert is_healthy("worker", prepared, environment)


def test_web_asks_for_a_login_and_does_not_start_without_an_owner(prepared: Settings) -> None:
    refused = subprocess.run(
        command_of("web", prepared),
        env=native("web", prepared),
        cwd=prepared.home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert refused.returncode == 2 and "no owner has an account" in refused.stderr

    let_in(prepared)
    with running("web", prepared):
        page = requests.get(f"http://127.0.0.1:{prepared.web_port}/", timeout=30)
    assert page.url.endswith("/login?next=%2F")


def let_in(settings: Settings) -> None:
    """An owner of the pages."""
    if not (settings.home / "users.json").exists():
        run("prepare", settings, "panpan", "users", "add", "ada", "--role", "owner", said=f"{PASSWORD}\n")


def doctor(settings: Settings) -> dict[str, dict[str, Any]]:
    """What the doctor says in the worker's container: check -> result."""
    words = [sys.executable, "-P", "-m", "panpan", "doctor", "--security", "--json"]
    environment = native("worker", settings)
    answer = subprocess.run(
        words, env=environment, cwd=settings.home, capture_output=True, text=True, timeout=300, check=False
    )
    return {result["id"]: result for result in json.loads(answer.stdout)["checks"]}


def test_n8n_is_claimed_and_gets_its_workflows_by_its_api(prepared: Settings) -> None:
    with running("n8n", prepared, N8N_USER_FOLDER=str(prepared.home / "n8n"), HOME=str(prepared.home / "n8n")):
        first = json.loads(run("deploy", prepared, "panpan", "deploy", "--only", "n8n", "--json"))
        again = deploy_remote(prepared)
        changed = prepared.model_copy(update={"crm_token": prepared.pos_api_token})
        with_new_token = deploy_remote(changed)
        answer = n8n.trigger(prepared, "pos-files", {"source": "pos"})
        settings = requests.get(f"http://127.0.0.1:{prepared.n8n_port}/rest/settings", timeout=30).json()

    names = {workflow.content["name"] for workflow in read_workflows()}
    assert set(first["created"]) == names and first["updated"] == []
    assert (again.created, again.updated, again.retired) == ([], [], [])
    assert (with_new_token.created, with_new_token.updated) == ([], [])
    assert isinstance(answer, dict)
    assert settings["data"]["userManagement"]["showSetupOnFirstLoad"] is False
    with connect(prepared, "postgres", "n8n") as connection, connection.cursor() as cursor:
        cursor.execute("select name, settings ->> 'errorWorkflow', active from workflow_entity order by 1")
        rows = {name: (error, active) for name, error, active in cursor.fetchall()}
        cursor.execute("select id from workflow_entity where name = 'report_failure'")
        (failure,) = cursor.fetchone()
    assert all(active for _, active in rows.values())
    assert {error for name, (error, _) in rows.items() if name != "report_failure"} == {failure}


def test_the_doctor_in_a_container_is_right_about_servers_it_can_only_ask(prepared: Settings) -> None:
    """What is rightly found here: root, no volume, no backup, an n8n below the floor; nothing else is."""
    of_this_machine = {"runs-as-root", "home-on-disk", "n8n-version"}
    not_yet = {"backup-proven", "backup-schedule", "backup-elsewhere"}
    let_in(prepared)
    n8n_folder = {"N8N_USER_FOLDER": str(prepared.home / "n8n"), "HOME": str(prepared.home / "n8n")}
    with running("worker", prepared), running("web", prepared):
        with running("n8n", prepared, **n8n_folder):
            run("deploy", prepared, "panpan", "deploy", "--only", "n8n")
            well = doctor(prepared)
        without_n8n = doctor(prepared)

    wrong = {name for name, result in well.items() if result["ok"] is False}
    assert wrong <= of_this_machine | not_yet, {name: well[name]["finding"] for name in wrong}
    assert "n8n 2.40.7 is below" in well["n8n-version"]["finding"]
    # Metabase has no program here.
    unseen = {name for name, result in well.items() if result["ok"] is None}
    assert unseen == {"n8n-hardened", *(name for name in well if name.startswith("metabase-"))}
    assert {well[name]["ok"] for name in ("postgres-runs", "n8n-runs", "worker-runs", "web-runs")} == {True}
    assert well.keys().isdisjoint({"binds-loopback", "ports-free", "processes-known", "node-version"})
    assert without_n8n["n8n-runs"]["ok"] is False
    assert without_n8n["workflows-drift"]["ok"] is None
