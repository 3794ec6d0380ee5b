"""
Bring an n8n that runs elsewhere (in a container) to what the files and settings say, by its API alone.

There its command line, which keeps ids, is out of reach: credentials and workflows are known by their names, and ids
inside the files are exchanged for those n8n gave. A second run changes nothing but what differs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from panpan.errors import ServerError
from panpan.local import n8n, n8n_api
from panpan.local.files import write_private
from panpan.local.n8n_credentials import credentials
from panpan.local.n8n_deploy import SENT_KEYS, Deployment, credentials_digest
from panpan.local.n8n_publication import await_live
from panpan.local.workflows import FOLDER, Workflow, read_workflows
from panpan.settings import Settings

READY_SECONDS = 180
PAGE = 250


def deploy_remote(settings: Settings, folder: Path = FOLDER) -> Deployment:
    """
    Claim the owner's account, then bring credentials and workflows over; gives the workflows' names.

    Errors: ServerError when n8n does not get ready, refuses, or can't publish.
    """
    wait_until_ready(settings)
    claim_owner(settings)
    given = bring_credentials(settings)
    workflows = in_order(read_workflows(folder))
    known = {row["name"]: row for row in listed(settings)}
    created = [workflow for workflow in workflows if workflow.name not in known]
    for workflow in created:  # a workflow may name itself or another: first all get their ids
        known[workflow.name] = n8n_api.call(settings, "POST", "workflows", json=sent(workflow, {}))
    ids = given | {workflow.workflow_id: known[workflow.name]["id"] for workflow in workflows}
    updated = []
    for workflow in workflows:
        content, row = sent(workflow, ids), known[workflow.name]
        if any(row[key] != content[key] for key in ("nodes", "connections", "settings")):
            n8n_api.call(settings, "PUT", f"workflows/{row['id']}", json=content)
            updated += [] if workflow in created else [workflow.name]
        if workflow.starts_by_itself and not row["active"]:
            n8n_api.call(settings, "POST", f"workflows/{row['id']}/activate")
    retired = retire(settings, known, {workflow.name for workflow in workflows})
    live = {str(known[w.name]["id"]): w.name for w in workflows if w.starts_by_itself}
    await_live(settings, live, [str(known[name]["id"]) for name in retired])
    return Deployment([workflow.name for workflow in created], updated, retired)


def wait_until_ready(settings: Settings, seconds: float = READY_SECONDS) -> None:
    """Errors: ServerError when n8n has no database within some minutes."""
    deadline = time.monotonic() + seconds
    while not n8n.is_ready(settings):
        if time.monotonic() > deadline:
            raise ServerError(f"n8n at {n8n_api.base_url(settings)} did not get ready in {seconds:.0f} seconds")
        time.sleep(0.5)


def claim_owner(settings: Settings) -> bool:
    """Take the owner's account before anybody else does; False when it is taken already."""
    rest = f"{n8n_api.base_url(settings)}/rest"
    owner = {
        "email": settings.n8n_owner_email,
        "firstName": "Panpan",
        "lastName": "Owner",
        "password": settings.n8n_owner_password.get_secret_value(),
    }
    with n8n_api.loopback_session() as session:
        state = _answer(session, "GET", f"{rest}/settings")
        if not state["userManagement"]["showSetupOnFirstLoad"]:
            return False
        _answer(session, "POST", f"{rest}/owner/setup", json=owner)
    return True


def bring_credentials(settings: Settings) -> dict[str, str]:
    """Make missing credentials, give changed ones their new values; gives n8n's ids by ours."""
    rest = f"{n8n_api.base_url(settings)}/rest"
    wanted = credentials(settings)
    remembered = settings.home / "n8n" / "credentials.sha256"
    digest = credentials_digest(settings)
    is_same = remembered.exists() and remembered.read_text(encoding="utf-8") == digest
    with n8n_api.owner_session(settings) as session:
        known = {row["name"]: row["id"] for row in _answer(session, "GET", f"{rest}/credentials")}
        for each in wanted:
            content = {key: each[key] for key in ("name", "type", "data")}
            if each["name"] not in known:
                known[each["name"]] = _answer(session, "POST", f"{rest}/credentials", json=content)["id"]
            elif not is_same:
                _answer(session, "PATCH", f"{rest}/credentials/{known[each['name']]}", json=content)
    remembered.parent.mkdir(mode=0o700, exist_ok=True)
    write_private(remembered, digest)
    return {each["id"]: known[each["name"]] for each in wanted}


def in_order(workflows: Sequence[Workflow]) -> list[Workflow]:
    """Those that others name as their error workflow first."""
    named_by_others = {workflow.content["settings"].get("errorWorkflow") for workflow in workflows}
    return sorted(workflows, key=lambda workflow: workflow.workflow_id not in named_by_others)


def sent(workflow: Workflow, ids: Mapping[str, str]) -> dict[str, Any]:
    """What is sent of a workflow, with n8n's ids in place of ours."""
    text = json.dumps({key: workflow.content[key] for key in SENT_KEYS})
    for ours, theirs in ids.items():
        text = text.replace(json.dumps(ours), json.dumps(theirs))
    content: dict[str, Any] = json.loads(text)
    if not ids:
        content["settings"].pop("errorWorkflow", None)  # of no id yet
    return content


def listed(settings: Settings) -> list[dict[str, Any]]:
    """Every workflow of the server, whole."""
    answer = n8n_api.call(settings, "GET", "workflows", params={"limit": PAGE})
    rows: list[dict[str, Any]] = answer["data"]
    while cursor := answer.get("nextCursor"):
        answer = n8n_api.call(settings, "GET", "workflows", params={"limit": PAGE, "cursor": cursor})
        rows += answer["data"]
    return rows


def retire(settings: Settings, known: Mapping[str, Mapping[str, Any]], wanted: set[str]) -> list[str]:
    """Switch off workflows we deployed once and whose file is gone; those made by hand are let alone."""
    memory = settings.home / "n8n" / "deployed_names.json"
    before = set(json.loads(memory.read_text(encoding="utf-8"))) if memory.exists() else set()
    gone = sorted(name for name in before - wanted if name in known and known[name]["active"])
    for name in gone:
        n8n_api.call(settings, "POST", f"workflows/{known[name]['id']}/deactivate")
    if before != wanted:
        write_private(memory, json.dumps(sorted(wanted)))
    return gone


def _answer(session: requests.Session, method: str, url: str, **arguments: Any) -> Any:
    return n8n_api.answer(session, method, url, **arguments)["data"]
