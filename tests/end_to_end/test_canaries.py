"""
Secrets and personal data where they don't belong, with every server running, also when things fail; and new secrets
for a running n8n.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from psycopg2 import sql
from pydantic import SecretStr

from backups import n8n_cipher
from db.connection import connect
from panpan.errors import ServerError
from panpan.local import n8n, postgres, rotation, stack
from panpan.local.initialise import initialise
from panpan.settings import CHECKOUT, HOME_FILE, Settings, load_settings, secret_values

pytestmark = pytest.mark.servers

# Nobody's data, and nothing that stands anywhere by chance.
CANARIES = {
    "name": "Quetzalina Brambleworth",
    "email": "quetzalina.brambleworth@canary-post.example",
    "card": "CANARY-4471-9920",
}
HEADER = (
    "customer_id,home_store,customer_first-name,customer_email,customer_since,loyalty_card_number,birthdate,gender,"
    "birth_year\n"
)
GOOD = f"7001,3,{CANARIES['name']},{CANARIES['email']},2026-01-02,{CANARIES['card']},1990-01-01,F,1990\n"
REJECTED = f"7002,3,{CANARIES['name']},{CANARIES['email']},no date at all,{CANARIES['card']},1990-01-01,F,1990\n"
CUT_OFF = f"7003,3,{CANARIES['name']},{CANARIES['email']}\n"

# Where personal data belongs: as received, typed, in core and its history, and in what was kept out with its reason.
AT_HOME = {"raw_pos", "raw_crm", "raw_inventory", "core", "core_history"}
AT_HOME_TABLES = {"ops.rejects"}
# n8n keeps a webhook's request, headers too, with the data of a run until it is pruned; docs/access.md says so.
KEPT_BY_N8N = {"public.execution_data": ["webhook_token"]}


@pytest.fixture(scope="module")
def home() -> Iterator[Settings]:
    folder = Path(tempfile.mkdtemp(prefix="panpan-test-"))
    folder.chmod(0o755)
    settings = initialise(folder / "home")
    try:
        stack.up(settings, only=["postgres", "n8n", "worker", "web"])
        yield settings
    finally:
        stack.down(load_settings(home=settings.home))
        postgres.destroy(settings)
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def said(home: Settings) -> str:
    """What every command wrote while good, bad and refused data went through, and while commands failed."""
    drop = home.home.parent / "drop"
    drop.mkdir()
    files = {"good.csv": HEADER + GOOD, "rejected.csv": HEADER + REJECTED, "cut_off.csv": HEADER + GOOD + CUT_OFF}
    texts = []
    for name, text in files.items():
        (drop / name).write_text(text, encoding="utf-8")
        texts.append(panpan(home, "ingest", "drop", str(drop / name), "--source", "coffee_chain", "--json"))
    texts += [
        panpan(home, "rejects", "list"),
        panpan(home, "rejects", "show", "coffee_chain", "--json"),
        panpan(home, "value", "customers", "--json"),
        panpan(home, "secrets", "list", "--json"),
        panpan(home, "pii", "list", "--json"),
        panpan(home, "value", "revenue", PANPAN_BI_PASSWORD="wrong-password-of-nobody"),
        panpan(home, "value", "revenue", PANPAN_BI_PASSWORD="wrong-password-of-nobody", PANPAN_DEBUG="1"),
        panpan(home, "value", "no such metric", PANPAN_DEBUG="1"),
        panpan(home, "status", PANPAN_SWEEP_SECONDS="not a number"),
        panpan(home, "backups", "create", "--json"),
    ]
    with pytest.raises(ServerError):
        n8n.trigger(home.model_copy(update={"webhook_token": SecretStr("wrong")}), "pos-files", {})
    return "\n".join(texts)


def panpan(settings: Settings, *words: str, **variables: str) -> str:
    """Runs a command as people do; gives what it wrote to both streams."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PANPAN_")}
    answer = subprocess.run(
        [sys.executable, "-m", "panpan", *words, "--home", str(settings.home)],
        cwd=CHECKOUT,
        env={**inherited, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout + answer.stderr


def found(needles: dict[str, str], text: str) -> list[str]:
    """Names of the needles that are in a text."""
    return [name for name, needle in needles.items() if needle in text]


def tables(settings: Settings, database: str) -> dict[str, str]:
    """Every table of a database as text, by full name."""
    texts = {}
    with connect(settings, "postgres", database) as connection, connection.cursor() as cursor:
        cursor.execute(
            "select schemaname, tablename from pg_tables where schemaname not in ('pg_catalog', 'information_schema')"
        )
        for schema, table in cursor.fetchall():
            rows = io.StringIO()
            cursor.copy_expert(sql.SQL("copy {} to stdout").format(sql.Identifier(schema, table)), rows)
            texts[f"{schema}.{table}"] = rows.getvalue()
    return texts


def in_database(needles: dict[str, str], settings: Settings, database: str) -> dict[str, list[str]]:
    return {name: hits for name, text in tables(settings, database).items() if (hits := found(needles, text))}


def test_the_canaries_are_where_they_belong(home: Settings, said: str) -> None:
    """The scan can see: what it looks for is there."""
    hits = in_database(CANARIES, home, home.database_name)

    assert {"core.customers", "raw_pos.customers", "ops.rejects"} <= set(hits), said
    assert found(secret_values(home), (home.home / HOME_FILE).read_text(encoding="utf-8"))


def test_personal_data_is_in_no_output_log_process_or_other_table(home: Settings, said: str) -> None:
    logs = {file.name: file.read_text(encoding="utf-8", errors="replace") for file in home.logs.iterdir()}
    server_log = (postgres.place(home) / "data").glob("log/*")

    assert found(CANARIES, said) == []
    assert {name: hits for name, text in logs.items() if (hits := found(CANARIES, text))} == {}
    assert [file.name for file in server_log if found(CANARIES, file.read_text(errors="replace"))] == []
    warehouse = in_database(CANARIES, home, home.database_name)
    assert {
        t: hits for t, hits in warehouse.items() if t.split(".")[0] not in AT_HOME and t not in AT_HOME_TABLES
    } == {}
    assert in_database(CANARIES, home, "n8n") == {}
    assert found(CANARIES, command_lines()) == []


def test_no_secret_is_in_any_output_log_process_list_or_table(home: Settings, said: str) -> None:
    secrets = secret_values(home)
    logs = {file.name: file.read_text(encoding="utf-8", errors="replace") for file in home.logs.iterdir()}

    assert len(secrets) > 10
    assert found(secrets, said) == []
    assert {name: hits for name, text in logs.items() if (hits := found(secrets, text))} == {}
    assert found(secrets, command_lines()) == []
    assert in_database(secrets, home, home.database_name) == {}
    assert in_database(secrets, home, "n8n") in ({}, KEPT_BY_N8N)


def test_servers_are_told_no_secret_they_do_not_use(home: Settings, said: str) -> None:
    own = {"postgres": set(), "n8n": {"n8n_database_password", "n8n_encryption_key"}}
    for server, daemon in (("postgres", postgres.daemon(home)), ("n8n", n8n.daemon(home))):
        environments = "\n".join(value for process in daemon.members() for value in process.environ().values())
        assert set(found(secret_values(home), environments)) - own[server] == set(), server


def test_nothing_is_readable_in_a_backup_set_or_by_others_in_the_home(home: Settings, said: str) -> None:
    needles = {**CANARIES, **secret_values(home)}
    sets = [file for file in home.backup_sets.rglob("*") if file.is_file()]
    assert [file.suffix for file in sets].count(".age") >= 2, said
    readable = {str(file): found(needles, file.read_bytes().decode("latin-1")) for file in sets}
    assert {name: hits for name, hits in readable.items() if hits} == {}

    # A file in a folder that others can't enter is closed whatever its own mode.
    entrances = [each for each in home.home.iterdir() if each.is_dir()]
    assert [each.name for each in entrances if each.stat().st_mode & 0o077] == []
    open_files = [each.name for each in home.home.iterdir() if each.is_file() and each.stat().st_mode & 0o077]
    assert open_files == []


def test_no_secret_or_canary_is_in_git(home: Settings) -> None:
    needles = {**{k: v for k, v in CANARIES.items() if k != "name"}, **secret_values(home)}
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no git checkout")
    own = Path(__file__).resolve()
    texts = {
        name: (CHECKOUT / name).read_text(encoding="utf-8", errors="replace")
        for name in listed.stdout.split("\0")
        if name and (CHECKOUT / name).is_file() and (CHECKOUT / name).resolve() != own
    }

    assert {name: hits for name, text in texts.items() if (hits := found(needles, text))} == {}


def command_lines() -> str:
    lines = []
    for process in psutil.process_iter(["cmdline"]):
        lines.append(" ".join(process.info["cmdline"] or []))
    return "\n".join(lines)


def test_a_running_n8n_gets_new_secrets_and_goes_on(home: Settings, said: str) -> None:
    """Last, since it changes what the others look for."""
    settings = load_settings(home=home.home)
    old = secret_values(settings)
    for name in ("n8n_encryption_key", "loader_password", "webhook_token"):
        settings = rotation.rotate(settings, name, stack.restart)

    now = load_settings(home=home.home)
    assert n8n.trigger(now, "pos-files", {"run_key": "after"})["status"]
    with pytest.raises(ServerError, match="refuses our token"):
        n8n.trigger(home, "pos-files", {})
    with connect(now, "postgres", "n8n") as connection:
        opened = n8n_cipher.credentials(connection, now.n8n_encryption_key.get_secret_value())
    assert opened["whLoader00000001"]["password"] == now.loader_password.get_secret_value() != old["loader_password"]
    assert not list((now.home / "n8n").glob("rotation-*"))
    assert in_database(secret_values(now), now, "n8n") in ({}, KEPT_BY_N8N)
    assert {state.name for state in stack.status(now) if state.healthy} >= {"postgres", "n8n", "worker", "web"}
