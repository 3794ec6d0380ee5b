"""
Our own long-running programs: simulated source systems, worker, web pages. Each is one Python module.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

import requests
from pydantic import SecretStr

from panpan.local.n8n_api import loopback_session
from panpan.local.ports import require_free
from panpan.local.process import Daemon
from panpan.settings import CHECKOUT, PREFIX, Settings

START_SECONDS = 60
STOP_SECONDS = 60


@dataclass(frozen=True)
class Program:
    """
    A module run by `python -m`.

    With a port setting it answers `/health` there. Without one being alive is well, and its start is over
    when it has written its ready text.
    """

    name: str
    label: str
    module: str
    port_setting: str | None = None
    ready_text: str = ""

    def port(self, settings: Settings) -> int | None:
        return getattr(settings, self.port_setting) if self.port_setting else None

    def daemon(self, settings: Settings) -> Daemon:
        return Daemon(settings.home, self.name)

    def start(self, settings: Settings) -> None:
        """
        Start it and wait until it is well. Nothing happens when it runs.

        Errors: ServerError when its port is taken or it ends; the cause is what it wrote last.
        """
        server = self.daemon(settings)
        port = self.port(settings)
        if server.process() is None:
            server.stop()
            if port and self.port_setting:
                require_free(port, self.label, PREFIX + self.port_setting.upper())
            server.start([sys.executable, "-m", self.module], environment(settings))
        server.wait_until(lambda: self.is_healthy(settings) and server.has_written(self.ready_text), START_SECONDS)

    def stop(self, settings: Settings) -> bool:
        """Stop it; the worker first ends the batch it is at. False when it did not run."""
        return self.daemon(settings).stop(seconds=STOP_SECONDS)

    def is_healthy(self, settings: Settings) -> bool:
        """Whether it answers; for a program without port whether it runs."""
        port = self.port(settings)
        if port is None:
            return self.daemon(settings).process() is not None
        with loopback_session() as session:
            try:
                return session.get(f"http://127.0.0.1:{port}/health", timeout=2).ok
            except requests.RequestException:
                return False


def environment(settings: Settings) -> dict[str, str]:
    """What our programs run with: this process's environment and every setting that was given."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    given = {PREFIX + name.upper(): _text(getattr(settings, name)) for name in settings.model_fields_set}
    return {**inherited, **given, "PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1"}


def _text(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
