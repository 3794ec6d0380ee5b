"""docker-compose.yml and Dockerfile say what they must; no engine is needed to see that."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from panpan.local.n8n import HARDENED
from panpan.settings import PREFIX, Settings

CHECKOUT = Path(__file__).resolve().parents[2]
TEXT = (CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
RUN_ON = {name: service for name, service in SERVICES.items() if name != "prepare"}  # prepare ends by itself
SECRET = re.compile(r"(PASSWORD|TOKEN|SECRET|ENCRYPTION_KEY)", re.IGNORECASE)
LIMIT_BYTES = 4 * 2**30
# n8n in a container listens to its private network.
OWN_IN_CONTAINER = {"N8N_LISTEN_ADDRESS"}

each_service = pytest.mark.parametrize("name", SERVICES)
each_lasting_service = pytest.mark.parametrize("name", RUN_ON)


def in_bytes(limit: str) -> int:
    return int(limit[:-1]) * {"m": 2**20, "g": 2**30}[limit[-1]]


def test_the_services_are_those_of_the_design() -> None:
    assert {"postgres", "n8n", "runners", "metabase", "worker", "web"} <= set(SERVICES)


@each_service
def test_every_port_is_bound_to_loopback(name: str) -> None:
    ports = SERVICES[name].get("ports", [])

    assert [port for port in ports if not str(port).startswith("127.0.0.1:")] == []
    assert "network_mode" not in SERVICES[name]


@each_service
def test_no_secret_is_written_down_or_has_a_default(name: str) -> None:
    environment = SERVICES[name].get("environment", {})

    secrets = {key: str(value) for key, value in environment.items() if SECRET.search(key)}

    assert {k: v for k, v in secrets.items() if not re.fullmatch(r"\$\{\w+:\?[^}]+\}", v)} == {}


def test_every_secret_of_the_settings_is_handed_over() -> None:
    environment = SERVICES["worker"]["environment"]

    required = [name for name, field in Settings.model_fields.items() if field.is_required()]

    assert [name for name in required if PREFIX + name.upper() not in environment] == []


def test_every_variable_asked_for_is_known() -> None:
    """A name misspelt here would be asked for by nobody."""
    asked = {match for match in re.findall(r"\$\{(\w+)", TEXT) if match.startswith(PREFIX)}

    assert asked <= {PREFIX + name.upper() for name in Settings.model_fields}


def test_nothing_privileged() -> None:
    assert not re.search(r"privileged:\s*true|docker\.sock|cap_add|pid:\s*host", TEXT)


@each_service
def test_image_is_pinned(name: str) -> None:
    image = re.sub(r"\$\{\w+:-([^}]+)\}", r"\1", SERVICES[name]["image"])

    assert re.search(r":v?\d[\w.]*$", image), image


def test_n8n_and_its_runner_have_one_version() -> None:
    tags = {SERVICES[name]["image"].partition(":")[2] for name in ("n8n", "runners")}

    assert len(tags) == 1
    assert tuple(map(int, re.findall(r"\d+", re.sub(r".*:-", "", tags.pop())))) >= (2, 43, 3)


def test_n8n_is_hardened_as_the_local_one() -> None:
    environment = SERVICES["n8n"]["environment"]

    differing = {
        name: (value, environment.get(name))
        for name, value in HARDENED.items()
        if name not in OWN_IN_CONTAINER and environment.get(name) != value
    }

    assert differing == {}


def test_n8n_reads_the_inbox_only_and_writes_nothing_there() -> None:
    n8n = SERVICES["n8n"]

    assert n8n["environment"]["N8N_RESTRICT_FILE_ACCESS_TO"] == "/srv/panpan/inbox"
    assert "home:/srv/panpan:ro" in n8n["volumes"]


@each_lasting_service
def test_lasting_service_restarts_and_tells_its_health(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["healthcheck"]["test"]


def test_memory_limits_stay_within_four_gigabytes() -> None:
    assert sum(in_bytes(service["mem_limit"]) for service in SERVICES.values()) <= LIMIT_BYTES


@each_service
def test_volumes_are_named_ones_or_read_only(name: str) -> None:
    for volume in SERVICES[name].get("volumes", []):
        assert volume.partition(":")[0] in COMPOSE["volumes"] or volume.endswith(":ro")


def test_postgres_asks_for_scram_and_keeps_its_files_in_the_volume() -> None:
    postgres = SERVICES["postgres"]

    assert "scram-sha-256" in postgres["environment"]["POSTGRES_HOST_AUTH_METHOD"]
    assert postgres["environment"]["PGDATA"].startswith("/var/lib/postgresql/")
    assert "postgres:/var/lib/postgresql" in postgres["volumes"]


def test_the_image_runs_without_rights_and_checks_every_package() -> None:
    lines = (CHECKOUT / "Dockerfile").read_text(encoding="utf-8").splitlines()

    users = [line for line in lines if line.startswith("USER")]
    installs = [line for line in lines if "pip install" in line and "requirements.lock" in line]

    assert users == ["USER panpan"]
    assert all("--require-hashes" in line for line in installs) and installs
    assert all(re.search(r":\d+\.\d+", line) for line in lines if line.startswith("FROM"))


def test_only_what_the_image_copies_reaches_docker() -> None:
    ignored = (CHECKOUT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    dockerfile = (CHECKOUT / "Dockerfile").read_text(encoding="utf-8")
    copied = {
        word for words in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE) for word in words.split()
    }

    let_through = {line[1:] for line in ignored if line.startswith("!")}

    assert ignored[1] == "*"
    assert copied == let_through
