"""
n8n: its version and known holes, its hardening as it runs, its workflows against our files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil
import requests

from db.connection import connect
from panpan.doctor.check import Checks, Verdict, bad, none_of, unseen, well
from panpan.doctor.floors import products
from panpan.errors import PanpanError
from panpan.local import n8n
from panpan.local.n8n_api import answer, base_url, loopback_session, owner_session
from panpan.local.n8n_credentials import credentials
from panpan.local.n8n_install import pinned_version
from panpan.local.n8n_publication import publications
from panpan.local.n8n_remote import sent
from panpan.local.workflows import normalise, read_workflows
from panpan.settings import Settings

KEPT = ("id", "name", "nodes", "connections", "settings")
DEPLOY = "bin/panpan up deploys the files again"
RESTART = "bin/panpan down, then bin/panpan up: it starts with our settings alone"
SECONDS = 2

checks = Checks()


@dataclass(frozen=True)
class Automation:
    """
    version: of the running or installed n8n. softened: settings that differ from the hardened ones in the running
    process, None where that is in another container. drifted, foreign, stopped: names of workflows. given_up:
    "workflow: why n8n did not publish it". excluded_nodes, open_webhooks: "workflow: node".
    """

    version: str
    pinned: str
    softened: list[str] | None
    drifted: list[str]
    foreign: list[str]
    stopped: list[str]
    given_up: list[str]
    excluded_nodes: list[str]
    open_webhooks: list[str]
    strangers: list[str]
    foreign_credentials: list[str]
    packages: int
    is_claimed: bool
    is_api_keyed: bool


def look(settings: Settings) -> Automation:
    """
    Ask the running process, its database and its doors.

    Errors: ServerError or DatabaseError when n8n or its database can't be reached.
    """
    found = rows(settings)
    deployed = {str(row["id"]): row for row in found["workflows"]}
    inside = settings.in_containers
    ids = remote_ids(settings, found) if inside else {}
    files = {ids.get(w.workflow_id, w.workflow_id): w for w in read_workflows()}
    known = {ids.get(each["id"], each["id"]) for each in credentials(settings)}
    return Automation(
        version=running_version(settings) if inside else n8n.version(settings),
        pinned=products()["n8n"].container if inside else pinned_version(),
        softened=None if inside else softened(settings),
        drifted=[
            workflow.name
            for key, workflow in files.items()
            if key not in deployed
            or not is_same(deployed[key], {"id": key, **sent(workflow, ids)} if inside else workflow.content)
        ],
        foreign=[str(row["name"]) for key, row in deployed.items() if key not in files],
        stopped=[
            str(deployed[key]["name"])
            for key, workflow in files.items()
            if key in deployed and workflow.starts_by_itself and not deployed[key]["active"]
        ],
        given_up=[
            f"{deployed[each.workflow_id]['name']}: {each.cause}"
            for each in publications(settings)
            if each.is_given_up and each.workflow_id in deployed
        ],
        excluded_nodes=[
            f"{row['name']}: {node['name']}"
            for row in deployed.values()
            for node in row["nodes"]
            if node["type"] in n8n.EXCLUDED_NODES
        ],
        open_webhooks=[
            f"{row['name']}: {node['name']}" for row in deployed.values() for node in row["nodes"] if is_open(node)
        ],
        strangers=[email for email in found["users"] if email and email != settings.n8n_owner_email],
        foreign_credentials=[row["name"] for row in found["credentials"] if row["id"] not in known],
        packages=found["packages"],
        is_claimed=is_claimed(settings),
        is_api_keyed=is_api_keyed(settings),
    )


def remote_ids(settings: Settings, found: Mapping[str, Any]) -> dict[str, str]:
    """The ids n8n gave to our workflows and credentials, by those of our files: in containers names tell them."""
    workflows = {str(row["name"]): str(row["id"]) for row in found["workflows"]}
    given = {str(row["name"]): str(row["id"]) for row in found["credentials"]}
    ours = {each.name: each.workflow_id for each in read_workflows()}
    ids = {ours[name]: key for name, key in workflows.items() if name in ours}
    return ids | {each["id"]: given[each["name"]] for each in credentials(settings) if each["name"] in given}


def running_version(settings: Settings) -> str:
    """The version the server itself names to its owner."""
    with owner_session(settings) as session:
        content = answer(session, "GET", f"{base_url(settings)}/rest/settings")
    return str(content["data"]["versionCli"])


def rows(settings: Settings) -> dict[str, Any]:
    """What n8n's database holds of workflows, users, credentials and installed packages."""
    with connect(settings, "postgres", "n8n") as connection, connection.cursor() as cursor:

        def dicts(statement: str) -> list[dict[str, Any]]:
            cursor.execute(statement)
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

        return {
            "workflows": dicts(
                'select id, name, nodes, connections, settings, active from workflow_entity where not "isArchived"'
            ),
            "users": [row["email"] for row in dicts('select email from "user"')],
            "credentials": dicts("select id, name from credentials_entity"),
            "packages": len(dicts("select from installed_packages")),
        }


def text(workflow: Mapping[str, Any]) -> str:
    """The canonical text of what a workflow does."""
    return normalise({key: workflow[key] for key in KEPT})


def is_same(deployed: Mapping[str, Any], content: Mapping[str, Any]) -> bool:
    """Whether a workflow does what a file says; in which order n8n keeps the keys means nothing."""
    return bool(json.loads(text(deployed)) == json.loads(text(content)))


def softened(settings: Settings) -> list[str]:
    """Hardened settings that the running process does not have."""
    wanted = {**n8n.HARDENED, "N8N_RESTRICT_FILE_ACCESS_TO": str(settings.inbox)}
    process = n8n.daemon(settings).process()
    with suppress(psutil.Error):
        if process:
            has = process.environ()
            return [name for name, value in wanted.items() if has.get(name) != value]
    return []


def is_open(node: Mapping[str, Any]) -> bool:
    """Whether a node lets anybody start its workflow, or takes paths nobody wrote down."""
    if not node["type"].endswith((".webhook", ".formTrigger", ".chatTrigger")):
        return False
    parameters = node["parameters"]
    return parameters.get("authentication", "none") == "none" or ":" in str(parameters.get("path", ""))


def is_claimed(settings: Settings) -> bool:
    """Whether the owner's account is taken: no stranger can set it up."""
    content = _get(settings, "rest/settings").json()
    return not content["data"]["userManagement"]["showSetupOnFirstLoad"]


def is_api_keyed(settings: Settings) -> bool:
    """Whether the public API refuses those without a key."""
    return _get(settings, "api/v1/workflows?limit=1").status_code in (401, 403, 404)


def _get(settings: Settings, path: str) -> requests.Response:
    try:
        with loopback_session() as session:
            return session.get(f"{base_url(settings)}/{path}", timeout=SECONDS)
    except requests.RequestException as error:
        raise PanpanError("n8n does not answer") from error


@checks.add("n8n-installed", "error", Automation, machine=True)
def n8n_installed(automation: Automation) -> Verdict:
    if automation.version != automation.pinned:
        found = automation.version or "missing"
        return bad(f"n8n is {found}, the lock file says {automation.pinned}", "bin/panpan up installs it")
    return well(f"n8n {automation.version}, as the lock file says")


@checks.add("n8n-version", "error", Automation)
def n8n_version(automation: Automation) -> Verdict:
    known = products()["n8n"]
    if not known.is_below(automation.version):
        return well(f"n8n {automation.version}")
    holes = known.holes_of(automation.version)
    ids = ", ".join(hole.id for hole in holes)
    found = f"n8n {automation.version} is below {known.floor}: {ids}"
    fix = f"run n8n {known.container} by docker compose: docs/upgrade.md"
    if all(hole.closed_by for hole in holes) and not (automation.softened or automation.open_webhooks):
        ways = "; ".join(str(hole.closed_by) for hole in holes)
        return bad(f"{found}; closed here by our settings ({ways})", fix, "warning")
    return bad(found, fix)


@checks.add("workflows-drift", "error", Automation)
def workflows_drift(automation: Automation) -> Verdict:
    return none_of(automation.drifted, "workflows are what their files say", "differ from their files", DEPLOY)


@checks.add("workflows-active", "error", Automation)
def workflows_active(automation: Automation) -> Verdict:
    fix = "publish it in n8n's editor, or change its file and run bin/panpan up"
    return none_of(automation.stopped, "every workflow is published", "switched off in n8n", fix)


@checks.add("workflows-live", "error", Automation)
def workflows_live(automation: Automation) -> Verdict:
    return none_of(automation.given_up, "what n8n was asked to publish is live", "n8n gave up publishing", DEPLOY)


@checks.add("workflows-foreign", "warning", Automation, security=True)
def workflows_foreign(automation: Automation) -> Verdict:
    fix = "export it into n8n_workflows/ when it is yours, else archive it in n8n's editor"
    return none_of(automation.foreign, "every workflow comes from a file", "not from our files", fix)


@checks.add("n8n-hardened", "error", Automation, security=True)
def n8n_hardened(automation: Automation) -> Verdict:
    if automation.softened is None:
        return unseen("n8n's process is in another container; docker-compose.yml hardens it")
    return none_of(automation.softened, "n8n runs with our hardened settings", "not as hardened", RESTART)


@checks.add("n8n-nodes", "error", Automation, security=True)
def n8n_nodes(automation: Automation) -> Verdict:
    fix = "remove these nodes in n8n's editor"
    return none_of(automation.excluded_nodes, "no workflow has a node that runs code", "nodes that run code", fix)


@checks.add("n8n-webhooks", "error", Automation, security=True)
def n8n_webhooks(automation: Automation) -> Verdict:
    fix = "set header authentication and a fixed path on it, or remove the workflow"
    return none_of(automation.open_webhooks, "every webhook asks for a token", "anybody may start", fix)


@checks.add("n8n-users", "error", Automation, security=True)
def n8n_users(automation: Automation) -> Verdict:
    fix = "remove them in n8n under Settings, Users"
    return none_of(automation.strangers, "only the owner has an account in n8n", "accounts nobody planned", fix)


@checks.add("n8n-credentials", "warning", Automation, security=True)
def n8n_credentials(automation: Automation) -> Verdict:
    fix = "remove them in n8n under Credentials; ours come from settings.env"
    return none_of(automation.foreign_credentials, "credentials come from our settings", "made by hand", fix)


@checks.add("n8n-packages", "error", Automation, security=True)
def n8n_packages(automation: Automation) -> Verdict:
    if automation.packages:
        return bad(f"{automation.packages} community packages are installed", "remove them in n8n, then bin/panpan up")
    return well("no community package is installed")


@checks.add("n8n-owner", "error", Automation, security=True)
def n8n_owner(automation: Automation) -> Verdict:
    if not automation.is_claimed:
        return bad("n8n has no owner: the first visitor becomes it", RESTART)
    return well("n8n's owner account is taken")


@checks.add("n8n-api", "error", Automation, security=True)
def n8n_api(automation: Automation) -> Verdict:
    if not automation.is_api_keyed:
        return bad("n8n's public API answers without a key", RESTART)
    return well("n8n's public API asks for a key")
