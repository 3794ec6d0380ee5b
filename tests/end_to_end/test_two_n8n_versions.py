"""
Our workflow files in two versions of n8n: the older one takes, publishes and runs them; the newer takes over its home.

Runs only when PANPAN_OTHER_N8N names a version beside the pinned one; the first time it is installed (2.6 GB, minutes):
    PANPAN_OTHER_N8N=2.39.10 bin/panpan test tests/end_to_end/test_two_n8n_versions.py
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backups import n8n_cipher
from db.connection import connect
from panpan.doctor import automation
from panpan.doctor.floors import numbers
from panpan.ingest import inbox, run
from panpan.ingest.sources import sync_source_settings
from panpan.local import n8n, n8n_install, postgres, stack
from panpan.local.initialise import initialise
from panpan.local.n8n_credentials import credentials
from panpan.local.n8n_deploy import Deployment, deploy_workflows
from panpan.local.workflows import read_workflows
from panpan.settings import Settings
from transforms.contract import load_contracts

RUNTIME = n8n_install.RUNTIME
PINNED = n8n_install.pinned_version()
OTHER = os.environ.get("PANPAN_OTHER_N8N", "")
LOCK_SECONDS = 1200
pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(
        OTHER in ("", PINNED), reason=f"PANPAN_OTHER_N8N names no version of n8n beside {PINNED} (2.6 GB, some minutes)"
    ),
]


@pytest.fixture
def home() -> Iterator[Settings]:
    folder = Path(tempfile.mkdtemp(prefix="panpan-test-", dir="/tmp"))
    folder.chmod(0o755)
    settings = initialise(folder / "home", simulated=True)
    try:
        stack.up(settings, only={"postgres", "simulate"})
        with connect(settings, "transformer") as connection:
            sync_source_settings(connection, load_contracts().values(), settings)
        yield settings
    finally:
        stack.down(settings)
        postgres.destroy(settings)
        shutil.rmtree(folder, ignore_errors=True)


def runtime_of(settings: Settings, version: str) -> Path:
    """The folder with package and lock file of a version; of the other one the lock is resolved once and kept."""
    if version == PINNED:
        return RUNTIME
    folder = settings.tools_dir.absolute() / f"n8n-lock-{version}"
    if not folder.exists():
        package = json.loads((RUNTIME / "package.json").read_text(encoding="utf-8"))
        package["dependencies"]["n8n"] = version
        part = Path(tempfile.mkdtemp(prefix=".n8n-lock-", dir=settings.tools_dir))
        (part / "package.json").write_text(json.dumps(package), encoding="utf-8")
        node = n8n_install.node_program()
        npm = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        subprocess.run(
            [str(node), str(npm), "install", "--package-lock-only", "--no-audit", "--no-fund"],
            cwd=part, env=n8n_install.npm_environment(node),
            capture_output=True, timeout=LOCK_SECONDS, check=True,
        )  # fmt: skip
        part.rename(folder)
    return folder


def start(settings: Settings, monkeypatch: pytest.MonkeyPatch, version: str) -> Deployment:
    """n8n of this version on the home, with our workflows."""
    monkeypatch.setattr(n8n_install, "RUNTIME", runtime_of(settings, version))
    monkeypatch.setattr(n8n, "WEBHOOK_SECONDS", 600)  # it migrates first
    n8n_install.install(settings)
    assert n8n.version(settings) == version
    return deploy_workflows(settings)


def take_everything(settings: Settings, name: str) -> None:
    """Every workflow that pulls or loads is run for real, with its credentials; each load is an execution's."""
    reports = [
        each for source in ("crm", "pos_api", "inventory") for each in run.run_source(settings, source, wait=False)
    ]
    file = settings.home / name
    file.write_text(f"Transaction ID,Item\n{name},Tea\n", encoding="utf-8")
    reports += run.run_source(settings, "pos", files=[inbox.drop(settings, file, "pos")], wait=False)

    assert [(each.source, each.status) for each in reports if each.status != "received"] == []
    assert {each.source for each in reports} == {"crm", "pos_api", "inventory", "pos"}
    assert all(each.execution_id for each in reports)


def standing(settings: Settings) -> dict[str, Any]:
    """What n8n's database holds: workflows as texts, which are published, credentials with their values."""
    found = automation.rows(settings)
    with connect(settings, "postgres", "n8n") as connection:
        values = n8n_cipher.credentials(connection, settings.n8n_encryption_key.get_secret_value())
    return {
        "workflows": {row["id"]: (automation.text(row), row["active"]) for row in found["workflows"]},
        "credentials": values,
    }


def test_the_newer_version_takes_over_what_the_older_one_ran(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    older, newer = sorted((PINNED, OTHER), key=numbers)

    first = start(home, monkeypatch, older)
    take_everything(home, "older.csv")
    of_older = standing(home)
    assert n8n.stop(home)
    second = start(home, monkeypatch, newer)
    take_everything(home, "newer.csv")

    assert sorted(first.created) == sorted(workflow.workflow_id for workflow in read_workflows())
    assert second == Deployment([], [], [])
    assert standing(home) == of_older
    assert set(of_older["credentials"]) == {each["id"] for each in credentials(home)}
    seen = automation.look(home)
    assert (seen.version, seen.drifted, seen.stopped, seen.softened, seen.is_claimed) == (newer, [], [], [], True)
