"""Our own programs as servers: started with their starter's settings, watched by health or by what they write."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from panpan.errors import ServerError
from panpan.local.initialise import initialise
from panpan.local.programs import Program
from panpan.settings import Settings

ANSWERING = """
import http.server
from panpan.settings import load_settings

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

settings = load_settings()
print("crm token", settings.crm_token.get_secret_value(), flush=True)
http.server.HTTPServer(("127.0.0.1", settings.web_port), Handler).serve_forever()
"""
WORKING = "import time; time.sleep(0.3); print('worker started', flush=True); time.sleep(60)"
ANSWERS = Program("probe", "the probe", "probe_program", port_setting="web_port")
WORKS = Program("probe", "the probe", "probe_program", ready_text="worker started")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.chdir(tmp_path)
    settings = initialise(tmp_path / "home")
    yield settings
    ANSWERS.stop(settings)


def write_program(settings: Settings, text: str) -> None:
    """Put a module where `python -m` finds it: the program's working folder."""
    folder = ANSWERS.daemon(settings).folder
    folder.mkdir(parents=True)
    (folder / "probe_program.py").write_text(text)


def test_program_answers_and_has_the_settings_of_its_starter(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_program(settings, ANSWERING)
    changed = settings.model_copy(update={"crm_token": settings.pos_api_token})

    ANSWERS.start(changed)
    process = ANSWERS.daemon(settings).process()
    ANSWERS.start(changed)

    assert ANSWERS.is_healthy(settings)
    assert settings.pos_api_token.get_secret_value() in ANSWERS.daemon(settings).log.read_text()
    assert ANSWERS.daemon(settings).process() == process
    assert ANSWERS.stop(settings) is True
    assert not ANSWERS.is_healthy(settings)


def test_program_without_port_is_up_when_it_says_so(settings: Settings) -> None:
    write_program(settings, WORKING)

    WORKS.start(settings)

    assert "worker started" in WORKS.daemon(settings).log.read_text()
    assert WORKS.is_healthy(settings)


@pytest.mark.parametrize("program", [ANSWERS, WORKS])
def test_program_that_ends_at_once_is_a_failed_start(settings: Settings, program: Program) -> None:
    write_program(settings, "raise SystemExit('no such world')")

    with pytest.raises(ServerError) as caught:
        program.start(settings)

    assert caught.value.cause == "no such world"
    assert program.daemon(settings).members() == []


def test_port_taken_by_another_program_is_named(settings: Settings) -> None:
    write_program(settings, ANSWERING)
    with socket.socket() as other_program:
        other_program.bind(("127.0.0.1", settings.web_port))
        other_program.listen()

        with pytest.raises(ServerError, match="the probe can't start") as caught:
            ANSWERS.start(settings)

    assert "PANPAN_WEB_PORT" in str(caught.value.next)
