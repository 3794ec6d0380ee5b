"""
n8n's public API: its address, a key made without a person, and why a run failed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import requests

from panpan.errors import ServerError
from panpan.local.files import write_private
from panpan.settings import Settings

TIMEOUT_SECONDS = 60
SCOPES = [
    "workflow:list",
    "workflow:read",
    "workflow:create",
    "workflow:update",
    "workflow:activate",
    "workflow:deactivate",
    "execution:list",
    "execution:read",
]


def base_url(settings: Settings) -> str:
    """Where the server is reached."""
    return f"http://{settings.n8n_host}:{settings.n8n_port}"


def loopback_session() -> requests.Session:
    """A session that never asks a proxy: our servers are on this machine or in its private network."""
    session = requests.Session()
    session.trust_env = False
    return session


def call(settings: Settings, method: str, path: str, **arguments: Any) -> dict[str, Any]:
    """
    One call of the public API, with the remembered key.

    Errors: ServerError with n8n's answer when it refuses or can't be reached.
    """
    with loopback_session() as session:
        session.headers["X-N8N-API-KEY"] = api_key(settings)
        return answer(session, method, f"{base_url(settings)}/api/v1/{path}", **arguments)


def api_key(settings: Settings) -> str:
    """The remembered key while n8n takes it, else a new one made with the owner's login."""
    file = settings.home / "n8n" / "api_key"
    if file.exists():
        key = file.read_text(encoding="utf-8")
        with suppress(ServerError), loopback_session() as session:
            session.headers["X-N8N-API-KEY"] = key
            answer(session, "GET", f"{base_url(settings)}/api/v1/workflows?limit=1")
            return key
    key = _new_api_key(settings)
    file.parent.mkdir(mode=0o700, exist_ok=True)
    write_private(file, key)
    return key


def last_failure(settings: Settings, path: str, since: str) -> str | None:
    """
    Node and message of the last failed run of the workflow with this webhook path, begun since a moment.

    since: ISO 8601 in UTC. None when n8n knows of none or doesn't say: it only explains another error.
    """
    with suppress(ServerError, LookupError, TypeError):
        workflow_id = _workflow_of(settings, path)
        query = {"status": "error", "workflowId": workflow_id, "includeData": "true", "limit": 1}
        run = call(settings, "GET", "executions", params=query)["data"][0]
        result = run["data"]["resultData"]
        if run["startedAt"] >= since:
            return f"node {result['lastNodeExecuted']!r}: {result['error']['message']} (execution {run['id']})"
    return None


def _workflow_of(settings: Settings, path: str) -> str:
    workflows = call(settings, "GET", "workflows", params={"active": "true", "limit": 250})["data"]
    return next(
        str(workflow["id"])
        for workflow in workflows
        for node in workflow["nodes"]
        if node["type"].endswith(".webhook") and node["parameters"].get("path") == path
    )


@contextmanager
def owner_session(settings: Settings) -> Iterator[requests.Session]:
    """
    A session logged in as n8n's owner, for what its public API does not offer.

    Errors: ServerError when n8n refuses the login.
    """
    login = {
        "emailOrLdapLoginId": settings.n8n_owner_email,
        "password": settings.n8n_owner_password.get_secret_value(),
    }
    with loopback_session() as session:
        answer(session, "POST", f"{base_url(settings)}/rest/login", json=login)
        yield session


def _new_api_key(settings: Settings) -> str:
    # Labels are unique in n8n, and of a lost key only the label is left.
    wanted = {"label": f"panpan {secrets.token_hex(4)}", "expiresAt": None, "scopes": SCOPES}
    with owner_session(settings) as session:
        made = answer(session, "POST", f"{base_url(settings)}/rest/api-keys", json=wanted)
    return str(made["data"]["rawApiKey"])


def answer(session: requests.Session, method: str, url: str, **arguments: Any) -> dict[str, Any]:
    """
    One request and what n8n says to it.

    Errors: ServerError with n8n's answer when it refuses or can't be reached.
    """
    try:
        received = session.request(method, url, timeout=TIMEOUT_SECONDS, **arguments)
    except requests.RequestException as error:
        raise ServerError("n8n can't be reached", cause=str(error), next="bin/panpan up") from error
    if not received.ok:
        what = f"{method} {url.partition('/api/v1/')[2] or url}"
        raise ServerError(f"n8n refuses {what}", cause=f"{received.status_code} {received.text[:300]}")
    content: dict[str, Any] = received.json()
    return content
