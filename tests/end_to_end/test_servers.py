"""
The servers of a home together, with the real n8n: up, deployed, changed, killed, failed, down.

The first run on a machine installs n8n (about 2 minutes).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
import pytest
import requests

from db.connection import connect
from panpan.errors import IngestError, ServerError
from panpan.local import n8n, n8n_api, n8n_publication, postgres, stack
from panpan.local.initialise import initialise
from panpan.local.n8n_deploy import deploy_workflows
from panpan.local.n8n_publication import Publication, given_up
from panpan.local.workflows import normalise, read_workflows
from panpan.settings import CHECKOUT, Settings

pytestmark = pytest.mark.servers

BOTH = {"postgres", "n8n"}
GIGABYTE = 2**30


@pytest.fixture(scope="module")
def make_home() -> Iterator[Callable[[], Settings]]:
    """Makes homes; stops and removes them in the end."""
    made: list[tuple[Settings, Path]] = []

    def make() -> Settings:
        folder = Path(tempfile.mkdtemp(prefix="panpan-test-"))
        folder.chmod(0o755)
        settings = initialise(folder / "home")
        made.append((settings, folder))
        return settings

    yield make
    for settings, folder in made:
        stack.down(settings)
        postgres.destroy(settings)
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def running_home(make_home: Callable[[], Settings]) -> Settings:
    """A home with PostgreSQL and n8n, the project's own workflows deployed."""
    settings = make_home()
    begun = time.monotonic()
    assert stack.up(settings, only=BOTH) == ["postgres", "n8n"]
    print(f"\nfirst up: {time.monotonic() - begun:.1f} s")  # noqa: T201  # a figure to read with pytest -s
    return settings


@pytest.fixture(scope="module")
def home_with_probe(make_home: Callable[[], Settings]) -> tuple[Settings, Path]:
    """A second home beside the first; its only workflow reads a file whose name it is told."""
    settings = make_home()
    postgres.start(settings)
    postgres.create_n8n_database(settings)
    folder = settings.home / "workflows"
    folder.mkdir()
    (folder / "probe.json").write_text(normalise(probe()))
    deploy_workflows(settings, folder)
    return settings, folder


def probe(answer: str = "first") -> dict[str, Any]:
    nodes: list[dict[str, Any]] = [
        {
            "id": "1",
            "name": "Called",
            "type": "n8n-nodes-base.webhook",
            "typeVersion": 2.1,
            "position": [0, 0],
            "webhookId": "probe",
            "parameters": {
                "httpMethod": "POST",
                "path": "probe",
                "authentication": "headerAuth",
                "responseMode": "lastNode",
                "options": {},
            },
            "credentials": {"httpHeaderAuth": {"id": "webhookToken0001", "name": "Webhook token"}},
        },
        {
            "id": "2",
            "name": "Read file",
            "type": "n8n-nodes-base.readWriteFile",
            "typeVersion": 1,
            "position": [200, 0],
            "parameters": {"operation": "read", "fileSelector": "={{ $json.body.file }}", "options": {}},
        },
        {
            "id": "3",
            "name": "Answer",
            "type": "n8n-nodes-base.set",
            "typeVersion": 3.4,
            "position": [400, 0],
            "parameters": {
                "mode": "raw",
                "jsonOutput": f'={{{{ {{ "said": "{answer}", "name": $json.fileName }} }}}}',
                "options": {},
            },
        },
    ]
    follows = {"Called": "Read file", "Read file": "Answer"}
    return {
        "id": "probeWorkflow001",
        "name": "probe",
        "nodes": nodes,
        "connections": {
            name: {"main": [[{"node": following, "type": "main", "index": 0}]]} for name, following in follows.items()
        },
        "settings": {"executionOrder": "v1"},
    }


def test_servers_are_healthy_and_small(running_home: Settings) -> None:
    states = {state.name: state for state in stack.status(running_home)}

    for name in BOTH:
        assert states[name].running
        assert states[name].healthy
    assert states["n8n"].version == "2.40.7"
    assert not states["worker"].running
    resident = sum(process.memory_info().rss for process in n8n.daemon(running_home).members())
    print(f"\nn8n: {resident / 2**20:.0f} MB resident")  # noqa: T201
    assert resident < GIGABYTE


def test_every_workflow_file_is_deployed_and_live(running_home: Settings) -> None:
    deployed = n8n_api.call(running_home, "GET", "workflows", params={"limit": 250})["data"]

    expected = {w.workflow_id for w in read_workflows() if w.starts_by_itself}
    assert expected <= {workflow["id"] for workflow in deployed if workflow["active"]}


def test_exported_workflow_is_the_file(running_home: Settings) -> None:
    for workflow in read_workflows():
        exported = n8n_api.call(running_home, "GET", f"workflows/{workflow.workflow_id}")
        kept = json.loads(normalise(exported))
        assert {key: kept[key] for key in ("nodes", "connections")} == {
            key: workflow.content[key] for key in ("nodes", "connections")
        }


def test_second_up_changes_nothing(running_home: Settings) -> None:
    before = [state.pid for state in stack.status(running_home)]

    assert stack.up(running_home, only=BOTH) == []

    assert [state.pid for state in stack.status(running_home)] == before


def test_no_secret_is_on_a_command_line(running_home: Settings) -> None:
    processes = [*n8n.daemon(running_home).members(), *postgres.daemon(running_home).members()]

    lines = "\n".join(" ".join(process.cmdline()) for process in processes)

    secrets = [v.get_secret_value() for v in dict(running_home).values() if hasattr(v, "get_secret_value")]
    assert len(secrets) > 10
    assert not [secret for secret in secrets if secret in lines]


def test_n8n_listens_on_loopback_alone(running_home: Settings) -> None:
    sockets = [c for p in n8n.daemon(running_home).members() for c in p.net_connections() if c.status == "LISTEN"]

    assert {(c.laddr.ip, c.laddr.port) for c in sockets} == {
        ("127.0.0.1", running_home.n8n_port),
        ("127.0.0.1", running_home.n8n_broker_port),
    }


def test_credentials_are_stored_encrypted(running_home: Settings) -> None:
    with connect(running_home, "postgres", "n8n") as connection, connection.cursor() as cursor:
        cursor.execute("select id, data from credentials_entity")
        stored = dict(cursor.fetchall())

    assert "whLoader00000001" in stored
    assert not any(running_home.loader_password.get_secret_value() in data for data in stored.values())


def test_webhook_refuses_a_wrong_token(home_with_probe: tuple[Settings, Path]) -> None:
    settings, _ = home_with_probe
    (settings.inbox / "sales.csv").write_text("a,b\n")
    wrong = settings.model_copy(update={"webhook_token": settings.crm_token})

    with pytest.raises(ServerError, match="refuses our token"):
        n8n.trigger(wrong, "probe", {"file": str(settings.inbox / "sales.csv")})

    answer = n8n.trigger(settings, "probe", {"file": str(settings.inbox / "sales.csv")})
    assert answer == {"said": "first", "name": "sales.csv"}


def test_workflow_reads_the_inbox_and_no_other_folder(home_with_probe: tuple[Settings, Path]) -> None:
    settings, _ = home_with_probe

    with pytest.raises(IngestError, match="workflow 'probe' failed") as caught:
        n8n.trigger(settings, "probe", {"file": str(settings.home / "settings.env")})

    assert "'Read file'" in str(caught.value.cause)
    assert "not allowed" in str(caught.value.cause)


def hostile(path: str, kind: str, version: float, parameters: dict[str, Any]) -> dict[str, Any]:
    """A workflow of one call and one node that should not get what it wants."""
    workflow = probe()
    called, tried = workflow["nodes"][0], workflow["nodes"][2]
    called["parameters"]["path"] = called["webhookId"] = path
    tried |= {"name": "Try", "type": kind, "typeVersion": version, "parameters": parameters}
    workflow |= {"id": f"hostile{path}001", "name": path, "nodes": [called, tried]}
    workflow["connections"] = {"Called": {"main": [[{"node": "Try", "type": "main", "index": 0}]]}}
    return workflow


def test_workflow_reads_no_variable_of_the_environment(home_with_probe: tuple[Settings, Path]) -> None:
    settings, folder = home_with_probe
    asking = {"mode": "raw", "jsonOutput": '={{ { "key": $env.N8N_ENCRYPTION_KEY } }}', "options": {}}
    file = folder / "env.json"
    file.write_text(normalise(hostile("env", "n8n-nodes-base.set", 3.4, asking)))
    try:
        deploy_workflows(settings, folder)
        with pytest.raises(IngestError) as caught:
            n8n.trigger(settings, "env", {})
    finally:
        file.unlink()

    assert "access to env vars denied" in str(caught.value.cause).lower()
    assert settings.n8n_encryption_key.get_secret_value() not in str(caught.value.cause)


def test_node_that_runs_programs_is_unknown(home_with_probe: tuple[Settings, Path]) -> None:
    """Whether n8n refuses to publish it or to run it: the program never ran."""
    settings, folder = home_with_probe
    mark = settings.inbox / "was-here"
    file = folder / "command.json"
    file.write_text(normalise(hostile("command", "n8n-nodes-base.executeCommand", 1, {"command": f"touch {mark}"})))
    try:
        with pytest.raises((ServerError, IngestError)) as caught:
            deploy_workflows(settings, folder)
            n8n.trigger(settings, "command", {})
    finally:
        file.unlink()

    assert not mark.exists()
    assert "executeCommand" in str(caught.value.cause) or "nrecognized" in str(caught.value.cause)


def test_changed_workflow_is_live_in_a_moment_and_a_removed_one_is_not(
    home_with_probe: tuple[Settings, Path],
) -> None:
    settings, folder = home_with_probe
    (settings.inbox / "sales.csv").write_text("a,b\n")
    process = n8n.daemon(settings).process()

    (folder / "probe.json").write_text(normalise(probe(answer="second")))
    assert deploy_workflows(settings, folder).updated == ["probeWorkflow001"]
    assert n8n.trigger(settings, "probe", {"file": str(settings.inbox / "sales.csv")})["said"] == "second"

    (folder / "probe.json").rename(folder / "probe.kept")
    assert deploy_workflows(settings, folder).retired == ["probeWorkflow001"]
    assert webhook_status(settings, "probe") == 404

    (folder / "probe.kept").rename(folder / "probe.json")
    deploy_workflows(settings, folder)
    assert n8n.trigger(settings, "probe", {"file": str(settings.inbox / "sales.csv")})["said"] == "second"
    assert n8n.daemon(settings).process() == process


def test_what_n8n_gave_up_publishing_is_asked_for_again(home_with_probe: tuple[Settings, Path]) -> None:
    """It gives up for good after one failure; seen where its database did not answer in time."""
    settings, folder = home_with_probe
    (settings.inbox / "sales.csv").write_text("a,b\n")
    with connect(settings, "postgres", "n8n") as connection, connection.cursor() as cursor:
        cursor.execute("delete from webhook_entity where \"webhookPath\" = 'probe'")
        cursor.execute(
            """insert into workflow_publication_outbox ("workflowId", "publishedVersionId", status, "errorMessage")
            select id, coalesce("activeVersionId", ''), 'failed', 'no answer in time' from workflow_entity
            where id = 'probeWorkflow001'"""
        )
    [failed] = given_up(settings, ["probeWorkflow001"])
    assert failed.cause == "no answer in time"

    deploy_workflows(settings, folder)

    assert given_up(settings, ["probeWorkflow001"]) == []
    assert n8n.trigger(settings, "probe", {"file": str(settings.inbox / "sales.csv")})["name"] == "sales.csv"


def test_publication_that_does_not_end_is_an_error(home_with_probe: tuple[Settings, Path]) -> None:
    settings, _ = home_with_probe
    under_way = Publication("probeWorkflow001", "in_progress", "")
    with patch.object(n8n_publication, "publications", lambda _: [under_way]), pytest.raises(ServerError) as caught:
        given_up(settings, ["probeWorkflow001"], seconds=0)

    assert "probeWorkflow001" in str(caught.value.cause)


def test_killed_n8n_comes_up_again_with_its_workflows(home_with_probe: tuple[Settings, Path]) -> None:
    settings, folder = home_with_probe
    (settings.inbox / "sales.csv").write_text("a,b\n")
    process = n8n.daemon(settings).process()
    assert process is not None
    process.kill()

    begun = time.monotonic()
    deploy_workflows(settings, folder)

    print(f"\nn8n after a kill: {time.monotonic() - begun:.1f} s")  # noqa: T201
    assert n8n.trigger(settings, "probe", {"file": str(settings.inbox / "sales.csv")})["name"] == "sales.csv"


def test_failed_start_leaves_nothing_running(make_home: Callable[[], Settings]) -> None:
    settings = make_home()
    with socket.socket() as other_program:
        other_program.bind(("127.0.0.1", settings.n8n_port))
        other_program.listen()

        with pytest.raises(ServerError, match="n8n can't start") as caught:
            stack.up(settings, only=BOTH)

    assert f"port {settings.n8n_port}" in str(caught.value.cause)
    assert not [p.name() for server in stack.SERVERS for p in server.daemon(settings).members()]
    assert not list((settings.home / "run").glob("*.json"))


def test_failed_start_leaves_alone_what_ran_before(make_home: Callable[[], Settings]) -> None:
    settings = make_home()
    stack.up(settings, only={"postgres"})
    with socket.socket() as other_program:
        other_program.bind(("127.0.0.1", settings.n8n_port))
        other_program.listen()

        with pytest.raises(ServerError):
            stack.up(settings, only=BOTH)

    assert postgres.accepts(settings)


def test_up_that_is_ended_stops_what_it_started(make_home: Callable[[], Settings]) -> None:
    settings = make_home()
    command = [sys.executable, "-m", "panpan", "up", "--only", "postgres", "--only", "n8n"]
    environment = {**os.environ, "PANPAN_HOME": str(settings.home), "PYTHONPATH": str(CHECKOUT)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, cwd="/") as up:
        while postgres.daemon(settings).process() is None:
            time.sleep(0.05)

        up.send_signal(signal.SIGTERM)
        _, said = up.communicate(timeout=60)

    assert up.returncode == 128 + signal.SIGTERM
    assert b"Traceback" not in said
    assert not [p.name() for server in stack.SERVERS for p in server.daemon(settings).members()]


def test_commands_report_and_stop_everything(make_home: Callable[[], Settings]) -> None:
    settings = make_home()

    started = panpan(settings, "up", "--only", "postgres", "--json")
    status = panpan(settings, "status", "--json")
    stopped = panpan(settings, "down", "--json")
    again = panpan(settings, "down", "--json")

    assert started["started"] == ["postgres"]
    assert "starting PostgreSQL" in started["seconds"]
    assert status["servers"][0]["name"] == "postgres"
    assert status["servers"][0]["healthy"] is True
    assert status["servers"][0]["sentence"].startswith("postgres 18.")
    assert stopped["stopped"] == ["postgres"]
    assert again["stopped"] == []


def test_down_ends_every_process(running_home: Settings) -> None:
    processes = [p for server in stack.SERVERS for p in server.daemon(running_home).members()]

    assert stack.down(running_home) == ["n8n", "postgres"]

    assert len(processes) > 2
    assert not [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    with pytest.raises(requests.ConnectionError), n8n_api.loopback_session() as session:
        session.get(n8n_api.base_url(running_home), timeout=2)


def webhook_status(settings: Settings, path: str) -> int:
    """What the webhook answers without token."""
    with n8n_api.loopback_session() as session:
        return session.post(f"{n8n_api.base_url(settings)}/webhook/{path}", json={}, timeout=10).status_code


def panpan(settings: Settings, *words: str) -> dict[str, Any]:
    environment = {**os.environ, "PANPAN_HOME": str(settings.home), "PYTHONPATH": str(CHECKOUT)}
    answer = subprocess.run(
        [sys.executable, "-m", "panpan", *words],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    content: dict[str, Any] = json.loads(answer.stdout)
    return content
