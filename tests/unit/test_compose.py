"""docker-compose.yml and Dockerfile say what they must; no engine is needed to see that."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from panpan.doctor.floors import products
from panpan.local.n8n import HARDENED
from panpan.settings import PREFIX, Settings

CHECKOUT = Path(__file__).resolve().parents[2]
TEXT = (CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ENDING = {"prepare", "deploy"}  # by themselves, when they are done
RUN_ON = {name: service for name, service in SERVICES.items() if name not in ENDING}
BY_DEFAULT = {name: service for name, service in SERVICES.items() if "profiles" not in service}
SECRET = re.compile(r"(PASSWORD|TOKEN|SECRET|ENCRYPTION_KEY)", re.IGNORECASE)
LIMIT_BYTES = 4 * 2**30
# n8n in a container listens to its private network.
OWN_IN_CONTAINER = {"N8N_LISTEN_ADDRESS"}

NO_SECRETS = {"MB_PASSWORD_COMPLEXITY"}
AS_ROOT = {"proxy"}  # Caddy's files belong to root; every right but one is taken from it
PUBLISHED = {"web", "proxy", "mail"}

each_service = pytest.mark.parametrize("name", SERVICES)
each_lasting_service = pytest.mark.parametrize("name", RUN_ON)


def in_bytes(limit: str) -> int:
    return int(limit[:-1]) * {"m": 2**20, "g": 2**30}[limit[-1]]


def test_the_services_are_those_of_the_design() -> None:
    assert {"postgres", "n8n", "runners", "metabase", "worker", "web"} <= set(SERVICES)


@each_service
def test_every_port_is_bound_to_loopback(name: str) -> None:
    ports = SERVICES[name].get("ports", [])

    addresses = [re.sub(r"\$\{\w+:-([^}]+)\}", r"\1", str(port)) for port in ports]

    assert [address for address in addresses if not address.startswith("127.0.0.1:")] == []
    assert "network_mode" not in SERVICES[name]
    assert not ports or name in PUBLISHED


def test_database_and_its_users_have_no_way_out_but_those_who_need_one() -> None:
    """n8n and Metabase are reached through the proxy only; the database and the runner reach nobody."""
    networks = COMPOSE["networks"]
    reaching = {name for name, service in SERVICES.items() if {"outside", "front"} & set(service["networks"])}

    assert networks["data"]["internal"] and networks["runners"]["internal"]
    assert SERVICES["postgres"]["networks"] == ["data"]
    assert reaching.isdisjoint({"postgres", "prepare", "deploy", "runners", "redis"})


@each_service
def test_no_rights_no_new_ones_and_nothing_written_outside_of_volumes(name: str) -> None:
    service = SERVICES[name]
    own = service.get("build") or str(service.get("user", "0")).split(":")[0] not in ("0", "root")

    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "proxy" else [])
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["read_only"] is True
    assert own or name in AS_ROOT
    assert service["logging"]["options"]["max-size"]


@each_service
def test_no_secret_is_written_down_or_has_a_default(name: str) -> None:
    environment = SERVICES[name].get("environment", {})

    secrets = {key: str(value) for key, value in environment.items() if SECRET.search(key) and key not in NO_SECRETS}
    asked = r"\$\{\w+:\?[^}]+\}|/run/secrets/\w+|\$\{PANPAN_PROXY_PASSWORD_HASH:-\}"

    assert {k: v for k, v in secrets.items() if not re.fullmatch(asked, v)} == {}
    assert set(service_secrets(name)) <= set(COMPOSE["secrets"])


def service_secrets(name: str) -> list[str]:
    return list(SERVICES[name].get("secrets", []))


def test_secrets_come_from_the_settings_file_and_each_is_used() -> None:
    used = {secret for name in SERVICES for secret in service_secrets(name)}

    assert {name: {"environment": name.upper()} for name in used} == COMPOSE["secrets"]


def test_every_secret_of_the_settings_is_handed_over() -> None:
    given = {*SERVICES["worker"]["environment"], *(secret.upper() for secret in service_secrets("worker"))}

    required = [name for name, field in Settings.model_fields.items() if field.is_required()]

    assert [name for name in required if PREFIX + name.upper() not in given] == []


def test_every_variable_asked_for_is_known() -> None:
    """A name misspelt here would be asked for by nobody."""
    asked = {match for match in re.findall(r"\$\{(\w+)", TEXT) if match.startswith(PREFIX)}
    of_the_proxy = {f"{PREFIX}{name}" for name in ("SITE", "PROXY_USER", "PROXY_PASSWORD_HASH", "PROXY_ADDRESS")}

    assert asked - of_the_proxy - {f"{PREFIX}N8N_SITE_URL"} <= {PREFIX + name.upper() for name in Settings.model_fields}


def test_nothing_privileged() -> None:
    assert not re.search(r"privileged:\s*true|docker\.sock|pid:\s*host", TEXT)


@each_service
def test_image_is_pinned(name: str) -> None:
    image = re.sub(r"\$\{\w+:-([^}]+)\}", r"\1", SERVICES[name]["image"])

    assert re.search(r":v?\d[\w.-]*$", image), image


def test_images_are_at_or_above_the_floors() -> None:
    tags = {name: tag_of(SERVICES[name]["image"]) for name in ("postgres", "n8n", "metabase")}
    known = products()

    assert not known["postgresql"].is_below(tags["postgres"])
    assert not known["n8n"].is_below(tags["n8n"]) and tags["n8n"] == known["n8n"].container
    assert not known["metabase"].is_below(tags["metabase"]) and known["metabase"].container in tags["metabase"]


def tag_of(image: str) -> str:
    return re.sub(r"\$\{\w+:-([^}]+)\}", r"\1", image).rpartition(":")[2]


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


@each_service
def test_words_of_commands_and_health_checks_are_texts(name: str) -> None:
    """YAML takes `ok ? 0 : 1` for a mapping, and no engine would run it."""
    words = [*SERVICES[name].get("command", []), *SERVICES[name].get("healthcheck", {}).get("test", [])]

    assert [word for word in words if not isinstance(word, str)] == []


def test_memory_limits_stay_within_four_gigabytes() -> None:
    """What runs on by default, and beside it the largest of those that end by themselves."""
    running = sum(in_bytes(service["mem_limit"]) for name, service in BY_DEFAULT.items() if name not in ENDING)
    ending = max(in_bytes(SERVICES[name]["mem_limit"]) for name in ENDING)

    assert running + ending <= LIMIT_BYTES


@pytest.mark.parametrize("profile", ["queue", "proxy", "mail", "simulate"])
def test_profile_adds_services_and_default_has_none_of_them(profile: str) -> None:
    assert [name for name, service in SERVICES.items() if profile in service.get("profiles", [])]
    assert {"postgres", "n8n", "runners", "metabase", "worker", "web", "prepare", "deploy"} == set(BY_DEFAULT)


def test_services_wait_for_what_they_need() -> None:
    needs = {name: service.get("depends_on", {}) for name, service in SERVICES.items()}

    assert needs["prepare"] == {"postgres": {"condition": "service_healthy"}}
    assert set(needs["deploy"]) == {"prepare", "n8n", "metabase"}
    for name in ("n8n", "metabase", "worker", "web"):
        assert needs[name] == {"prepare": {"condition": "service_completed_successfully"}}


def test_metabase_has_a_database_of_its_own_and_shares_nothing() -> None:
    environment = SERVICES["metabase"]["environment"]

    assert (environment["MB_DB_TYPE"], environment["MB_DB_DBNAME"], environment["MB_DB_USER"]) == (
        "postgres",
        "metabase",
        "metabase",
    )
    assert environment["MB_ENABLE_PUBLIC_SHARING"] == environment["MB_ANON_TRACKING_ENABLED"] == "false"
    assert environment["MB_LOAD_SAMPLE_CONTENT"] == "false"


def test_a_compose_implementation_reads_the_file(tmp_path: Path) -> None:
    """podman-compose, which fills in anchors, variables and defaults; it asks podman for its version and no more."""
    podman = tmp_path / "podman"
    podman.write_text("#!/bin/sh\necho podman version 5.0.0\n", encoding="utf-8")
    podman.chmod(0o755)
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
    environment |= dict.fromkeys(re.findall(r"\$\{(\w+):\?", TEXT), "12345")
    environment |= {name.upper(): "a-secret" for name in COMPOSE["secrets"]}
    program = [sys.executable, "-m", "podman_compose", "--file", str(CHECKOUT / "docker-compose.yml")]

    answer = subprocess.run([*program, "config"], env=environment, capture_output=True, text=True, check=False)

    assert answer.returncode == 0, answer.stderr
    read = yaml.safe_load(answer.stdout)["services"]
    assert set(read) >= set(BY_DEFAULT)
    assert read["web"]["ports"] == ["127.0.0.1:12345:8000"]
    assert read["worker"]["environment"]["PANPAN_OWNER_PASSWORD_FILE"] == "/run/secrets/panpan_owner_password"
    assert {name: read[name]["mem_limit"] for name in BY_DEFAULT} == {
        name: service["mem_limit"] for name, service in BY_DEFAULT.items()
    }
    assert "a-secret" not in answer.stdout


def test_proxy_hands_on_to_each_server_and_asks_for_a_login_before_two() -> None:
    text = (CHECKOUT / "Caddyfile").read_text(encoding="utf-8")
    sites = dict(re.findall(r"^(\S*\{\$SITE:localhost\}) \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL))

    assert {"web:8000", "n8n:5678", "metabase:3000"} == set(re.findall(r"reverse_proxy (\S+)", text))
    assert "admin off" in text
    assert [site.split(".")[0] for site, rules in sites.items() if "import login" in rules] == ["n8n", "metabase"]
    assert all("import strict" in rules for rules in sites.values())
    assert "respond /api/setup* 404" in text


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
    assert "n8n_workflows/runtime" in ignored  # the lock of the local n8n

    assert ignored[1] == "*"
    assert copied == let_through
