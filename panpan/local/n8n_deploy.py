"""
Bring n8n's workflows and credentials to what the files and settings say.

Unknown workflows go in by n8n's command line, which alone keeps their ids; then all changes go by the public
API of the running server (an import unpublishes, and shows only after a restart), and we wait until they are live.
`$PANPAN_HOME/n8n/deployed.json` remembers what was deployed, so an unchanged folder costs one look.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
from psycopg2 import sql

from db.connection import connect
from panpan.errors import DatabaseError
from panpan.local import n8n, n8n_api
from panpan.local.files import write_private
from panpan.local.n8n_credentials import credentials
from panpan.local.n8n_publication import await_live
from panpan.local.workflows import FOLDER, Workflow, read_workflows
from panpan.settings import Settings

SENT_KEYS = ("name", "nodes", "connections", "settings")


@dataclass(frozen=True)
class Deployed:
    """What was deployed last: a hash per workflow id, and one of all credentials."""

    workflows: dict[str, str] = field(default_factory=dict)
    credentials: str = ""


@dataclass(frozen=True)
class Deployment:
    """What a deployment did, as workflow ids."""

    created: list[str]
    updated: list[str]
    retired: list[str]


def deploy_workflows(settings: Settings, folder: Path = FOLDER) -> Deployment:
    """
    Deploy every workflow file of a folder; n8n runs afterwards and has published them. A second run changes nothing.

    Workflows whose file is gone are deactivated, never deleted. What n8n gave up publishing is asked for once more.
    Errors: ServerError when n8n refuses; the next run repeats what isn't remembered as done.
    """
    workflows = read_workflows(folder)
    if not n8n.daemon(settings).members():
        n8n.require_ports(settings)  # before the imports, which take seconds
    last = read_deployed(settings)
    known = known_ids(settings, "workflow_entity")
    created = [workflow for workflow in workflows if workflow.workflow_id not in known]
    updated = [
        workflow
        for workflow in workflows
        if workflow not in created and last.workflows.get(workflow.workflow_id) != workflow.sha256
    ]
    retired = sorted(set(last.workflows) & known - {workflow.workflow_id for workflow in workflows})
    digest = credentials_digest(settings)

    if last.credentials != digest or not known_ids(settings, "credentials_entity"):
        import_credentials(settings)
    if created:
        import_workflows(settings, created)
    n8n.start(settings)
    if created or updated or retired:
        change_running(settings, [*created, *updated], retired)
    await_live(settings, {w.workflow_id: w.name for w in workflows if w.starts_by_itself}, retired)
    now = Deployed({workflow.workflow_id: workflow.sha256 for workflow in workflows}, digest)
    if now != last:
        write_private(_deployed_file(settings), json.dumps(vars(now)))
    return Deployment([w.workflow_id for w in created], [w.workflow_id for w in updated], retired)


def read_deployed(settings: Settings) -> Deployed:
    """What is remembered; nothing when it can't be read, which only costs a deployment."""
    try:
        return Deployed(**json.loads(_deployed_file(settings).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Deployed()


def known_ids(settings: Settings, table: str) -> set[str]:
    """What n8n has in one of its tables; its database, and no memory of ours, decides what is new."""
    try:
        with connect(settings, "postgres", "n8n") as connection, connection.cursor() as cursor:
            cursor.execute(sql.SQL("select id from {}").format(sql.Identifier(table)))
            return {row[0] for row in cursor.fetchall()}
    except psycopg2.errors.UndefinedTable:
        return set()  # n8n has never run
    except psycopg2.Error as error:
        raise DatabaseError("n8n's database can't be read") from error


def credentials_digest(settings: Settings) -> str:
    """A hash of all credentials with their values."""
    return hashlib.sha256(json.dumps(credentials(settings), sort_keys=True).encode()).hexdigest()


def import_credentials(settings: Settings) -> None:
    """Put the credentials into n8n, which encrypts them; they are read at each run, so without a restart."""
    with _private_folder(settings) as folder:
        file = folder / "credentials.json"
        write_private(file, json.dumps(credentials(settings)))
        n8n.run_command(settings, "import:credentials", f"--input={file}")


def import_workflows(settings: Settings, workflows: Sequence[Workflow]) -> None:
    """Put new workflows into n8n under the ids of their files, not yet published."""
    with _private_folder(settings) as folder:
        for workflow in workflows:
            write_private(folder / workflow.file.name, json.dumps(workflow.content))
        n8n.run_command(settings, "import:workflow", "--separate", f"--input={folder}")


def change_running(settings: Settings, published: Sequence[Workflow], retired: Sequence[str]) -> None:
    """Publish some workflows as their files say and deactivate others in the running server, at once."""
    for workflow in published:
        address = f"workflows/{workflow.workflow_id}"
        n8n_api.call(settings, "PUT", address, json={key: workflow.content[key] for key in SENT_KEYS})
        if workflow.starts_by_itself:
            n8n_api.call(settings, "POST", f"{address}/activate")
    for workflow_id in retired:
        n8n_api.call(settings, "POST", f"workflows/{workflow_id}/deactivate")


def _deployed_file(settings: Settings) -> Path:
    return settings.home / "n8n" / "deployed.json"


@contextmanager
def _private_folder(settings: Settings) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=settings.home / "n8n", prefix="import-") as folder:
        yield Path(folder)
