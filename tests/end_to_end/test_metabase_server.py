"""
A Metabase as a server of a home: started, claimed, filled, killed, failed, stopped.

No real one is at hand here: `java` is a program made by the test that answers as tests/metabase_double does, on the
port, with the database and the role it is told.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from backups.create import databases
from db.connection import connect
from metabase.client import Client
from panpan import dashboards
from panpan.doctor import servers
from panpan.errors import ServerError, UsageError
from panpan.local import metabase, postgres, rotation, stack
from panpan.local.initialise import initialise
from panpan.local.n8n_api import loopback_session
from panpan.settings import CHECKOUT, HOME_FILE, Settings, load_settings

pytestmark = pytest.mark.servers

BOTH = {"postgres", "metabase"}
PROGRAM = CHECKOUT / "tests" / "metabase_double" / "program.py"


def script(file: Path, text: str) -> Path:
    file.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    file.chmod(0o755)
    return file


@pytest.fixture(scope="module")
def make_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Settings]]:
    """Makes homes whose Java and Metabase are programs of the test; stops and removes them in the end."""
    made: list[tuple[Settings, Path]] = []
    tools = tmp_path_factory.mktemp("tools")
    java = script(tools / "java", f'exec "{sys.executable}" "{PROGRAM}" "$@"')

    def make(jar: str = "a Metabase") -> Settings:
        folder = Path(tempfile.mkdtemp(prefix="panpan-test-"))
        folder.chmod(0o755)
        home = folder / "home"
        initialise(home)
        (folder / "metabase.jar").write_text(jar, encoding="utf-8")
        with (home / HOME_FILE).open("a", encoding="utf-8") as file:
            file.write(f"PANPAN_JAVA={java}\nPANPAN_METABASE_JAR={folder / 'metabase.jar'}\nPANPAN_TOOLS_DIR={tools}\n")
        settings = load_settings(home=home)
        made.append((settings, folder))
        return settings

    yield make
    for settings, folder in made:
        stack.down(settings)
        postgres.destroy(settings)
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def home(make_home: Callable[..., Settings]) -> Settings:
    """A home whose Metabase was started for the first time."""
    settings = make_home()
    assert stack.up(settings, only=BOTH) == ["postgres", "metabase"]
    return load_settings(home=settings.home)


def environment_of(settings: Settings) -> dict[str, str]:
    process = metabase.daemon(settings).process()
    assert process is not None
    return process.environ()


def test_the_first_up_claims_it_and_fills_it(home: Settings) -> None:
    with Client(home.metabase_url or "", api_key=home.metabase_api_key) as client:
        properties = client.get("/api/session/properties")
        boards = [card["name"] for card in client.get_list("/api/card", f="all")]
        [database] = client.get_list("/api/database")
        tables = client.get(f"/api/database/{database['id']}/metadata")["tables"]

    assert home.metabase_url == f"http://127.0.0.1:{home.metabase_port}"
    assert (properties["setup-token"], properties["has-user-setup"]) == (None, True)
    assert "Stock levels" in boards
    assert database["details"]["user"] == "bi"
    table = next(each for each in tables if each["name"] == "daily_store_sales")
    [net] = [each["description"] for each in table["fields"] if each["name"] == "net_amount"]
    assert "Metrics: " in net and "revenue" in net


def test_a_second_up_starts_nothing_and_writes_nothing(home: Settings) -> None:
    before = metabase.daemon(home).process()

    assert stack.up(home, only=BOTH) == []

    assert metabase.daemon(home).process() == before
    assert dashboards.apply(home, seconds=30).plan.writes == 0


def test_its_state_lies_in_our_postgresql_with_a_role_of_its_own(home: Settings) -> None:
    with connect(home, "postgres", "metabase") as connection, connection.cursor() as cursor:
        cursor.execute("select tableowner from pg_tables where tablename = 'memory'")
        assert cursor.fetchall() == [("metabase",)]
        cursor.execute("select has_database_privilege('metabase', %s, 'connect')", (home.database_name,))
        assert cursor.fetchall() == [(False,)]


def test_it_is_in_the_backups(home: Settings) -> None:
    assert databases(home) == ["warehouse", "n8n", "metabase"]
    with connect(home, "backup", "metabase") as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from memory")
        assert cursor.fetchall() == [(1,)]


def test_no_secret_is_on_its_command_line_and_nothing_calls_home(home: Settings) -> None:
    lines = "\n".join(" ".join(each.cmdline()) for each in metabase.daemon(home).members())
    secrets = [value.get_secret_value() for value in dict(home).values() if hasattr(value, "get_secret_value")]

    assert "-jar" in lines
    assert not [secret for secret in secrets if secret in lines]
    told = environment_of(home)
    assert told["MB_ENCRYPTION_SECRET_KEY"] == home.metabase_encryption_key.get_secret_value()  # type: ignore[union-attr]
    off = ("MB_LOAD_SAMPLE_CONTENT", "MB_ANON_TRACKING_ENABLED", "MB_CHECK_FOR_UPDATES", "MB_ENABLE_PUBLIC_SHARING")
    assert {told[name] for name in off} == {"false"}
    assert not [name for name in told if name.startswith("PANPAN_")]


def test_it_listens_on_loopback_alone(home: Settings) -> None:
    sockets = [c for p in metabase.daemon(home).members() for c in p.net_connections() if c.status == "LISTEN"]

    assert {(c.laddr.ip, c.laddr.port) for c in sockets} == {("127.0.0.1", home.metabase_port)}


def test_status_and_doctor_show_it(home: Settings) -> None:
    state = next(each for each in stack.status(home) if each.name == "metabase")

    assert (state.running, state.healthy, state.version) == (True, True, "0.64.6")
    assert stack.dashboards_sentence(home).startswith(f"The dashboards are in Metabase, {home.metabase_url}")
    assert servers.metabase_runs(servers.look(home)).ok


def test_killed_it_comes_up_as_the_same(home: Settings) -> None:
    process = metabase.daemon(home).process()
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    assert not servers.metabase_runs(servers.look(home)).ok

    assert stack.up(home, only=BOTH) == ["metabase"]

    assert load_settings(home=home.home).metabase_api_key == home.metabase_api_key
    assert dashboards.apply(home, seconds=30).plan.writes == 0


def test_a_run_killed_while_it_is_claimed_is_finished_by_the_next(make_home: Callable[..., Settings]) -> None:
    settings = make_home()
    command = [sys.executable, "-m", "panpan", "up", "--only", "postgres", "--only", "metabase"]
    with subprocess.Popen(command, env=environment(settings), stderr=subprocess.DEVNULL, cwd="/") as up:
        while load_settings(home=settings.home).metabase_admin_password is None:
            assert up.poll() is None
        up.kill()

    stack.up(load_settings(home=settings.home), only=BOTH)

    again = load_settings(home=settings.home)
    assert dashboards.apply(again, seconds=30).plan.writes == 0
    assert stack.down(again) == ["metabase", "postgres"]


def test_two_homes_do_not_meet(home: Settings, make_home: Callable[..., Settings]) -> None:
    other = make_home()
    stack.up(other, only=BOTH)
    other = load_settings(home=other.home)
    stack.down(other)

    assert other.metabase_port != home.metabase_port
    assert other.metabase_api_key != home.metabase_api_key
    assert metabase.is_ready(home)


def test_a_failed_start_says_what_it_wrote_and_leaves_nothing(make_home: Callable[..., Settings]) -> None:
    settings = make_home("broken")

    with pytest.raises(ServerError, match="metabase stopped while starting") as caught:
        stack.up(settings, only=BOTH)

    assert "it is broken" in str(caught.value.cause)
    assert not [p.name() for server in stack.SERVERS for p in server.daemon(settings).members()]
    assert not list((settings.home / "run").glob("*.json"))
    assert load_settings(home=settings.home).metabase_url is None
    (settings.metabase_jar or Path()).write_text("a Metabase", encoding="utf-8")
    assert stack.up(settings, only=BOTH) == ["postgres", "metabase"]
    stack.down(settings)


def test_a_changed_password_of_its_database_is_taken_up(home: Settings) -> None:
    changed = rotation.rotate(home, "metabase_database_password", stack.restart)

    told = environment_of(changed)["MB_DB_PASS"]
    assert told == changed.metabase_database_password.get_secret_value()  # type: ignore[union-attr]
    assert metabase.is_ready(changed)
    with pytest.raises(UsageError, match="is encrypted with"):
        rotation.rotate(changed, "metabase_encryption_key", stack.restart)


def test_the_commands_report_and_stop_it(home: Settings) -> None:
    status = panpan(home, "status", "--json")
    stopped = panpan(home, "down", "--json")
    began = panpan(home, "up", "--only", "postgres", "--only", "metabase", "--json")

    assert any("in Metabase, http://127.0.0.1" in sentence for sentence in status["sentences"])
    assert {"metabase", "postgres"} <= set(stopped["stopped"])
    assert began["started"] == ["postgres", "metabase"]
    assert began["dashboards"].startswith("The dashboards are in Metabase")
    processes = metabase.daemon(home).members()
    panpan(home, "down", "--json")
    assert not [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    with pytest.raises(requests.ConnectionError), loopback_session() as session:
        session.get(metabase.own_url(home), timeout=2)


# --- where there is none ---------------------------------------------------------------------------------


@pytest.fixture
def bare(tmp_path: Path) -> Settings:
    """A home without a Metabase, and an empty folder of tools."""
    return initialise(tmp_path / "home").model_copy(update={"tools_dir": tmp_path})


def test_without_a_program_it_is_said_who_shows_the_dashboards(bare: Settings) -> None:
    said = stack.dashboards_sentence(bare)

    assert said.startswith("The dashboards are panpan's own pages: there is no Metabase in")
    assert "metabase download" in said
    assert "metabase" not in [state.name for state in stack.status(bare)]
    with pytest.raises(ServerError, match="no Metabase to start"):
        metabase.start(bare)


def test_the_newest_of_the_programs_kept_is_taken(bare: Settings) -> None:
    for version in ("v0.64.6.x", "v0.64.10.x", "v0.63.19.x"):
        (bare.tools_dir / f"metabase-{version}.jar").touch()

    assert metabase.found_jar(bare) == bare.tools_dir / "metabase-v0.64.10.x.jar"


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ("echo 'openjdk version \"17.0.2\"' >&2", "is version 17; version 21 or later is needed"),
        ("exit 3", "is no Java"),
    ],
)
def test_a_java_that_does_not_suit_is_told(
    bare: Settings, monkeypatch: pytest.MonkeyPatch, says: str, reason: str
) -> None:
    """Found on the path it is a sentence; asked for by name it is an error."""
    (bare.tools_dir / "metabase-v0.64.6.x.jar").touch()
    java = script(bare.tools_dir / "java", says)
    monkeypatch.setattr(metabase, "_javas", lambda: [java])

    assert reason in (metabase.why_not(bare) or "")

    asked = bare.model_copy(update={"java": java, "metabase_jar": bare.tools_dir / "metabase-v0.64.6.x.jar"})
    assert metabase.why_not(asked) is None
    with pytest.raises(ServerError, match="no Java for Metabase"):
        metabase.start(asked)


def test_another_metabase_is_left_to_whoever_runs_it(bare: Settings) -> None:
    other = bare.model_copy(update={"metabase_url": "http://metabase.shop.example:3000"})

    assert metabase.why_not(other) == "PANPAN_METABASE_URL names another Metabase, http://metabase.shop.example:3000"
    assert "http://metabase.shop.example:3000" in stack.dashboards_sentence(other)


def environment(settings: Settings) -> dict[str, str]:
    return {**os.environ, "PANPAN_HOME": str(settings.home), "PYTHONPATH": str(CHECKOUT)}


def panpan(settings: Settings, *words: str) -> dict[str, Any]:
    answer = subprocess.run(
        [sys.executable, "-m", "panpan", *words],
        env=environment(settings), cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    content: dict[str, Any] = json.loads(answer.stdout)
    return content
