"""
docs/restore.md, executed: a home is lost with everything in it, and the page's own commands bring it back.

Only a copy of the set and of the key is left. Afterwards all figures, the history, the roles are equal, and the real
n8n runs a workflow with its restored credential.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from db.connection import connect
from panpan.governance import log
from panpan.ingest import inbox
from panpan.ingest import run as ingest
from panpan.ingest.sources import sync_source_settings
from panpan.local import postgres, stack
from panpan.local.initialise import initialise
from panpan.settings import CHECKOUT, HOME_FILE, Settings, load_settings
from panpan.web.accounts import Accounts
from transforms.compiler import Query, compile_query, evaluate
from transforms.contract import load_contracts
from transforms.metrics import load_metrics
from transforms.periods import business_today
from transforms.run import run as run_transforms

pytestmark = pytest.mark.servers

PAGE = CHECKOUT / "docs" / "restore.md"
MOST_STEPS = 10
MINUTES = 5
HEAD = "Transaction ID,Item,Quantity,Price Per Unit,Total Spent,Payment Method,Location,Transaction Date\n"
FIRST = HEAD + "T1,Tea,1,2.0,2.0,Cash,In-store,2026-03-01\nT2,Cake,2,3.0,6.0,Cash,In-store,2026-03-01\n"
CORRECTED = HEAD + "T2,Cake,3,3.0,9.0,Cash,In-store,2026-03-01\nT3,Bun,1,1.5,1.5,Card,Takeaway,2026-03-02\n"
LATER = HEAD + "T4,Bun,2,1.5,3.0,Card,Takeaway,2026-03-03\n"
PASSWORD = "a-long-word-of-the-bakery"
RULE = (CHECKOUT / "panpan/alerting/rules/no_sales.yaml").read_text(encoding="utf-8").replace("level: 4", "level: 9")
TOKEN = "the-real-crm-token-of-the-bakery"
COMPARED = (
    "core.sales",
    "core.sale_lines",
    "core_history.sales",
    "marts.daily_store_sales",
    "marts.published_figures",
    "information_schema.role_table_grants",
)
ROLES = "select rolname, rolcanlogin, rolsuper, rolconnlimit from pg_roles where rolname !~ '^pg_' order by 1"


@dataclass(frozen=True)
class Lost:
    """What is left of a home that is gone, and what it showed."""

    folder: Path
    set_folder: Path
    key: Path
    figures: dict[str, Any]
    tables: list[list[tuple[Any, ...]]]


def steps() -> list[str]:
    """The commands of each numbered step of the page."""
    page = PAGE.read_text(encoding="utf-8")
    numbered = re.split(r"^(\d+)\. ", page.split("\n## ")[0], flags=re.MULTILINE)[1:]
    assert [int(number) for number in numbered[::2]] == list(range(1, len(numbered) // 2 + 1))
    return ["\n".join(re.findall(r"^ +```\n(.*?)^ +```$", text, re.DOTALL | re.MULTILINE)) for text in numbered[1::2]]


@pytest.fixture(scope="module")
def lost() -> Iterator[Lost]:
    folder = Path(tempfile.mkdtemp(prefix="panpan-test-"))
    folder.chmod(0o755)
    initialise(folder / "home")
    file = folder / "home" / HOME_FILE
    file.write_text(file.read_text(encoding="utf-8") + f"PANPAN_CRM_TOKEN={TOKEN}\n", encoding="utf-8")
    settings = load_settings(home=folder / "home")
    restored: list[Settings] = []
    try:
        stack.up(settings, only={"postgres", "n8n"})
        with connect(settings, "transformer") as connection:
            sync_source_settings(connection, load_contracts().values(), settings)
        load(settings, folder, "first.csv", FIRST)
        load(settings, folder, "second.csv", CORRECTED)
        Accounts.of(settings).add("ada", "owner", PASSWORD)
        settings.own_rules.mkdir(parents=True)
        (settings.own_rules / "no_sales.yaml").write_text(RULE, encoding="utf-8")
        assert panpan(settings.home, "changes", "record", "--by=Ana", "--why=Long weekends", "--json")["noted"]
        answer = panpan(settings.home, "backups", "create", "--json")
        assert answer["verdict"] == "proven", answer
        usb = folder / "usb"
        usb.mkdir()
        shutil.copytree(settings.backup_sets / answer["set"], usb / answer["set"])
        shutil.copy(settings.backup_key, usb / "backup.key")
        figures, tables = shown(settings), compared(settings)
        stack.down(settings)
        postgres.destroy(settings)
        shutil.rmtree(settings.home)
        yield Lost(folder, usb / answer["set"], usb / "backup.key", figures, tables)
    finally:
        if (folder / "new" / HOME_FILE).exists():
            restored.append(load_settings(home=folder / "new"))
        for each in (*([settings] if settings.home.exists() else []), *restored):
            stack.down(each)
            postgres.destroy(each)
        shutil.rmtree(folder, ignore_errors=True)


def load(settings: Settings, folder: Path, name: str, text: str) -> list[str]:
    """Through the real n8n: its webhook, its credential for the database."""
    (folder / name).write_text(text, encoding="utf-8")
    dropped = inbox.drop(settings, folder / name, "dirty_cafe")
    reports = ingest.run_source(settings, "dirty_cafe", files=[dropped], wait=False)
    run_transforms(settings)
    return [report.status for report in reports]


def shown(settings: Settings) -> dict[str, Any]:
    """The value of every metric, by the compiler that `panpan value` asks; one command each would take minutes."""
    today = business_today(settings)
    return {
        name: evaluate(settings, compile_query(Query(name, tuple(metric.needs_one_of)), today)).rows
        for name, metric in load_metrics().items()
    }


def compared(settings: Settings) -> list[list[tuple[Any, ...]]]:
    """The rows of some tables in a fixed order, and the roles."""
    found = []
    with connect(settings, "postgres") as connection, connection.cursor() as cursor:
        for table in COMPARED:
            cursor.execute(f"select t::text from {table} as t order by 1")  # noqa: S608  # names of our own
            found.append(cursor.fetchall())
        cursor.execute(ROLES)
        found.append(cursor.fetchall())
    assert all(found)
    return found


def panpan(home: Path, *words: str) -> Any:
    answer = subprocess.run(
        [str(CHECKOUT / "bin" / "panpan"), *words, "--home", str(home)], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return json.loads(answer.stdout)


def test_the_page_is_short_and_every_step_has_a_command() -> None:
    found = steps()

    assert 1 <= len(found) <= MOST_STEPS
    assert all(step.strip() for step in found)


def test_the_page_brings_a_lost_home_back(lost: Lost) -> None:
    given = {"SET": str(lost.set_folder), "KEY": str(lost.key), "PANPAN_HOME": str(lost.folder / "new")}
    environment = {**{k: v for k, v in os.environ.items() if not k.startswith("PANPAN_")}, **given}
    begun = time.monotonic()

    for number, step in enumerate(steps(), 1):
        lines = [line.strip() for line in step.splitlines()]
        named = [line.removeprefix("export ").partition("=")[0] for line in lines if line.startswith("export ")]
        assert set(named) <= set(given), "the test knows what the page asks for"
        script = "\n".join(line for line in lines if not line.startswith("export "))
        answer = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script or "true"],
            cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert answer.returncode == 0, f"step {number}: {script}\n{answer.stdout}\n{answer.stderr}"

    assert time.monotonic() - begun < MINUTES * 60
    settings = load_settings(home=lost.folder / "new")
    assert shown(settings) == lost.figures
    assert compared(settings) == lost.tables
    assert settings.crm_token.get_secret_value() == TOKEN, "tokens come back out of n8n's credentials"
    assert Accounts.of(settings).verify("ada", PASSWORD)
    assert (settings.own_rules / "no_sales.yaml").read_text(encoding="utf-8") == RULE
    with connect(settings, "postgres") as connection, connection.cursor() as cursor:
        cursor.execute("select max(change_id) from ops.change_log")
        [end] = cursor.fetchall()
    assert (log.read_head(settings) or ())[:1] == end, "the home knows where its change log ends"
    assert panpan(settings.home, "changes", "verify", "--json")["ok"]
    assert load(settings, lost.folder, "later.csv", LATER)[0] in ("received", "loaded")
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from ops.backup_ledger where event = 'restored' and verdict = 'good'")
        assert cursor.fetchone() == (1,)
