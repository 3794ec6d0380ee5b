"""
The n8n server of one home: its hardened environment, start, health and stop, its command line, its webhooks.

Its state lies in our PostgreSQL (database n8n), its files in `$PANPAN_HOME/n8n`. It may read the inbox and
no other folder. Secrets reach it by the environment, never on a command line.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import requests

from panpan.errors import IngestError, ServerError
from panpan.local.n8n_api import base_url, last_failure, loopback_session
from panpan.local.n8n_install import SYSTEM_TRUST, install_folder, node_program
from panpan.local.ports import require_free
from panpan.local.process import Daemon
from panpan.settings import Settings

START_SECONDS = 180
STOP_SECONDS = 30
COMMAND_SECONDS = 300
# Counted from n8n's start: ready after some 5 s, webhooks registered a second later, more on a busy machine.
WEBHOOK_SECONDS = 30
TOKEN_HEADER = "X-Panpan-Token"  # noqa: S105  # the name of a header, no token
LOOPBACK = "127.0.0.1,localhost,::1"

# Nodes that run code or programs, or read files around the restriction. Naming any replaces n8n's own list.
EXCLUDED_NODES = (
    "n8n-nodes-base.code",
    "n8n-nodes-base.executeCommand",
    "n8n-nodes-base.localFileTrigger",
    "n8n-nodes-base.function",
    "n8n-nodes-base.functionItem",
    "@n8n/n8n-nodes-langchain.code",
    "n8n-nodes-base.ssh",
    "n8n-nodes-base.git",
    "n8n-nodes-base.aiTransform",
)
# Modules nobody uses here; mcp-registry alone would call home at each start.
DISABLED_MODULES = (
    "mcp-registry",
    "instance-ai",
    "chat-hub",
    "agents",
    "insights",
    "workflow-builder",
    "mcp",
    "quick-connect",
    "community-packages",
    "data-table",
    "breaking-changes",
)
HARDENED = {
    "DB_TYPE": "postgresdb",
    "DB_POSTGRESDB_DATABASE": "n8n",
    "DB_POSTGRESDB_USER": "n8n",
    "DB_POSTGRESDB_SCHEMA": "public",
    # Milliseconds. Seen: after the default of 20 s a busy machine's n8n gave up publishing at its start, for good.
    "DB_POSTGRESDB_CONNECTION_TIMEOUT": "120000",
    "N8N_HOST": "127.0.0.1",
    "N8N_LISTEN_ADDRESS": "127.0.0.1",
    "N8N_PROTOCOL": "http",
    "N8N_SECURE_COOKIE": "false",  # plain http, on loopback only
    "N8N_DIAGNOSTICS_ENABLED": "false",
    "N8N_DIAGNOSTICS_CONFIG_FRONTEND": "",
    "N8N_DIAGNOSTICS_CONFIG_BACKEND": "",
    "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
    "N8N_VERSION_NOTIFICATIONS_WHATS_NEW_ENABLED": "false",
    "N8N_TEMPLATES_ENABLED": "false",
    "N8N_PERSONALIZATION_ENABLED": "false",
    "N8N_HIRING_BANNER_ENABLED": "false",
    "N8N_DYNAMIC_BANNERS_ENABLED": "false",
    "N8N_COMMUNITY_PACKAGES_ENABLED": "false",
    "N8N_UNVERIFIED_PACKAGES_ENABLED": "false",
    "N8N_COMPRESSION_NODE_MAX_DECOMPRESSED_SIZE_BYTES": str(256 * 2**20),
    "N8N_COMPRESSION_NODE_MAX_ZIP_ENTRIES": "1000",
    "N8N_DISABLED_MODULES": ",".join(DISABLED_MODULES),
    "NODES_EXCLUDE": json.dumps(EXCLUDED_NODES),
    "N8N_BLOCK_ENV_ACCESS_IN_NODE": "true",
    "N8N_ENFORCE_SETTINGS_FILE_PERMISSIONS": "true",
    "N8N_DEFAULT_BINARY_DATA_MODE": "filesystem",
    "N8N_CONCURRENCY_PRODUCTION_LIMIT": "5",
    "N8N_RUNNERS_TASK_TIMEOUT": "60",
    "N8N_RUNNERS_MODE": "external",  # and none is ever connected: no workflow of ours runs code
    "EXECUTIONS_DATA_SAVE_ON_SUCCESS": "none",
    "EXECUTIONS_DATA_SAVE_ON_ERROR": "all",
    "EXECUTIONS_DATA_PRUNE": "true",
    "EXECUTIONS_DATA_MAX_AGE": "168",
    "GENERIC_TIMEZONE": "Etc/UTC",
    "TZ": "Etc/UTC",
    "NO_COLOR": "1",
    # Megabytes. Measured: 0.6 GB after a start, 0.9 GB while documents of 16 MB pass; without these 0.3 more.
    "NODE_OPTIONS": "--max-old-space-size=512 --max-semi-space-size=8",
    "MALLOC_ARENA_MAX": "2",
}


def start(settings: Settings) -> None:
    """
    Start the server and wait until its database is migrated and connected. Nothing happens when it runs.

    Errors: ServerError when a port is taken or it doesn't come up; the cause is what it wrote last.
    """
    server = daemon(settings)
    was_there = server.process() is not None
    if not was_there:
        _launch(settings)
    try:
        server.wait_until(lambda: is_ready(settings), START_SECONDS)
    except ServerError:
        if not was_there or server.process() is not None:
            raise
        _launch(settings)  # it had been killed and was just ending when we looked
        server.wait_until(lambda: is_ready(settings), START_SECONDS)


def _launch(settings: Settings) -> None:
    server = daemon(settings)
    server.stop()  # what a killed server left behind
    require_ports(settings)
    server.start([*_program(settings), "start"], {**environment(settings), **owner_account(settings)})


def require_ports(settings: Settings) -> None:
    """Errors: ServerError when another program has one of the two ports."""
    require_free(settings.n8n_port, "n8n", "PANPAN_N8N_PORT")
    require_free(settings.n8n_broker_port, "n8n's task broker", "PANPAN_N8N_BROKER_PORT")


def stop(settings: Settings) -> bool:
    """Stop the server; running workflows get some seconds to end. False when it did not run."""
    return daemon(settings).stop(seconds=STOP_SECONDS)


def daemon(settings: Settings) -> Daemon:
    """The server process."""
    return Daemon(settings.home, "n8n")


def is_ready(settings: Settings) -> bool:
    """Whether it answers and has its database."""
    with loopback_session() as session:
        try:
            return session.get(f"{base_url(settings)}/healthz/readiness", timeout=2).status_code == 200
        except requests.RequestException:
            return False


def version(settings: Settings) -> str:
    """The installed version; empty when none is installed."""
    try:
        file = install_folder(settings) / "node_modules" / "n8n" / "package.json"
        return str(json.loads(file.read_text(encoding="utf-8"))["version"])
    except FileNotFoundError:
        return ""


def environment(settings: Settings) -> dict[str, str]:
    """Everything n8n is told. Nothing is inherited but what it takes to run and to reach the network."""
    return {
        **_inherited(),
        **HARDENED,
        "HOME": str(settings.home / "n8n"),
        "N8N_USER_FOLDER": str(settings.home / "n8n"),
        "NODE_COMPILE_CACHE": str(settings.home / "n8n" / "compile-cache"),
        "DB_POSTGRESDB_HOST": settings.database_host,
        "DB_POSTGRESDB_PORT": str(settings.postgres_port),
        "DB_POSTGRESDB_PASSWORD": settings.n8n_database_password.get_secret_value(),
        "N8N_ENCRYPTION_KEY": settings.n8n_encryption_key.get_secret_value(),
        "N8N_PORT": str(settings.n8n_port),
        "N8N_WEBHOOK_URL": f"{base_url(settings)}/",
        "N8N_RUNNERS_AUTH_TOKEN": secrets.token_urlsafe(),
        "N8N_RUNNERS_BROKER_PORT": str(settings.n8n_broker_port),
        "N8N_RESTRICT_FILE_ACCESS_TO": str(settings.inbox),
    }


def owner_account(settings: Settings) -> dict[str, str]:
    """The owner account, which n8n reads from the environment at each start; the password as bcrypt hash."""
    script = "process.stdout.write(require('bcryptjs').hashSync(require('fs').readFileSync(0, 'utf8'), 10))"
    answer = subprocess.run(
        [str(node_program()), "-e", script],
        cwd=install_folder(settings),
        env=_inherited(),
        input=settings.n8n_owner_password.get_secret_value(),
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise ServerError("n8n's owner account can't be made", cause=answer.stderr.strip())
    return {
        "N8N_INSTANCE_OWNER_MANAGED_BY_ENV": "true",
        "N8N_INSTANCE_OWNER_EMAIL": settings.n8n_owner_email,
        "N8N_INSTANCE_OWNER_FIRST_NAME": "Panpan",
        "N8N_INSTANCE_OWNER_LAST_NAME": "Owner",
        "N8N_INSTANCE_OWNER_PASSWORD_HASH": answer.stdout,
    }


def run_command(settings: Settings, *words: str) -> None:
    """
    Run one command of n8n's own command line, for instance import:workflow.

    Errors: ServerError with its last lines when it fails.
    """
    try:
        answer = subprocess.run(
            [*_program(settings), *words],
            cwd=settings.home / "n8n",
            env=environment(settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ServerError(f"n8n {words[0]} took longer than {COMMAND_SECONDS} seconds") from error
    if answer.returncode:
        said = [line for line in (answer.stdout + answer.stderr).splitlines() if line.strip()]
        raise ServerError(f"n8n {words[0]} failed", cause="\n".join(said[-5:]))


def trigger(settings: Settings, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """
    Call a workflow's webhook and wait until its run is over.

    Gives what the workflow's last node answers.
    Errors: ServerError when n8n can't be reached or has no such webhook; IngestError when the run failed.
    """
    begun = datetime.now(UTC).isoformat()
    patience = webhook_patience(settings)
    while (answer := _post(settings, path, body)).status_code == 404 and time.time() < patience:
        time.sleep(0.5)
    if answer.status_code in (403, 404):
        what = "refuses our token for" if answer.status_code == 403 else "has no"
        raise ServerError(f"n8n {what} webhook {path!r}", cause=_message(answer), next="bin/panpan up")
    if not answer.ok:
        raise IngestError(
            f"workflow {path!r} failed",
            cause=last_failure(settings, path, begun) or f"n8n answers {answer.status_code}: {_message(answer)}",
            next=f"see its executions at {base_url(settings)}",
        )
    return _content(path, answer)


def webhook_patience(settings: Settings) -> float:
    """Until when (seconds since 1970) an unknown webhook may still be on its way."""
    process = daemon(settings).process()
    # Of a server that isn't ours, as in compose, we don't know since when it runs.
    return process.create_time() + WEBHOOK_SECONDS if process else time.time() + WEBHOOK_SECONDS


def _post(settings: Settings, path: str, body: Mapping[str, Any]) -> requests.Response:
    url = f"{base_url(settings)}/webhook/{path}"
    headers = {TOKEN_HEADER: settings.webhook_token.get_secret_value()}
    seconds = settings.ingest_timeout_seconds
    try:
        with loopback_session() as session:
            return session.post(url, json=dict(body), headers=headers, timeout=(5, seconds))
    except requests.ReadTimeout as error:
        raise IngestError(
            f"workflow {path!r} takes too long",
            cause=f"no answer within {seconds} seconds; it may still be running",
            next="bin/panpan ingest status",
        ) from error
    except requests.RequestException as error:
        raise ServerError("n8n can't be reached", cause=str(error), next="bin/panpan up") from error


def _content(path: str, answer: requests.Response) -> dict[str, Any]:
    try:
        content = answer.json()
    except ValueError as error:
        raise IngestError(f"workflow {path!r} gave no JSON", cause=answer.text[:200]) from error
    return content if isinstance(content, dict) else {"items": content}


def _message(answer: requests.Response) -> str:
    try:
        return str(answer.json().get("message") or answer.text[:300])
    except (ValueError, AttributeError):
        return answer.text[:300]


def _program(settings: Settings) -> list[str]:
    return [str(node_program()), str(install_folder(settings) / "node_modules" / "n8n" / "bin" / "n8n")]


def _inherited() -> dict[str, str]:
    names = ("LANG", "TMPDIR", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR")
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    kept = {name: os.environ[name] for name in (*names, *proxies) if name in os.environ}
    outside_proxy = ",".join(filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), LOOPBACK]))
    path = f"{node_program().parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**kept, **SYSTEM_TRUST, "PATH": path, "NO_PROXY": outside_proxy, "no_proxy": outside_proxy}
