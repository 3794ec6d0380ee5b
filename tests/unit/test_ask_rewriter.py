"""The rewriter may only bring a question: hostile replies, figures and statements never reach an answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from panpan.ask.grammar import Refused, Understood, parse
from panpan.ask.lexicon import Known, Lexicon, build
from panpan.ask.rewriter import MOST_BYTES, rewrite
from transforms.metrics import load_metrics

TODAY = date(2026, 6, 25)


class Model(BaseHTTPRequestHandler):
    """Says what the test wants, and remembers what it was asked."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.append((self.path, dict(self.headers), json.loads(body)))  # type: ignore[attr-defined]
        status, said = self.server.reply  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("location", "/elsewhere")
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def model() -> Iterator[Any]:
    server = HTTPServer(("127.0.0.1", 0), Model)
    server.asked, server.reply = [], (200, b"")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    values = frozenset([("store", "centro", "PanPan Centro"), ("store", "norte", "PanPan Norte")])
    return build(load_metrics(), Known(values, date(2025, 4, 1), TODAY))


def settings_of(model: Any) -> Any:
    return SimpleNamespace(
        ask_rewriter_url=f"http://127.0.0.1:{model.server_port}/v1",
        ask_rewriter_model="small",
        ask_rewriter_key=SecretStr("key-of-the-model"),
    )


def saying(text: str) -> tuple[int, bytes]:
    return 200, json.dumps({"choices": [{"message": {"content": text}}]}).encode()


def test_rewritten_question_is_read_by_the_grammar(model: Any, lexicon: Lexicon) -> None:
    model.reply = saying("revenue in Centro last week\n")

    rewritten = rewrite(settings_of(model), "moolah in Centro the week that went by", lexicon)

    assert rewritten == "revenue in Centro last week"
    parsed = parse(rewritten, lexicon, TODAY)
    assert isinstance(parsed, Understood)
    assert [reading.metric for reading, _ in parsed.readings] == ["revenue"]


def test_rewriter_is_told_names_of_metrics_and_no_value_of_the_data(model: Any, lexicon: Lexicon) -> None:
    model.reply = saying("none")

    assert rewrite(settings_of(model), "moolah", lexicon) is None

    [(path, headers, body)] = model.asked
    assert (path, headers["Authorization"]) == ("/v1/chat/completions", "Bearer key-of-the-model")
    assert "revenue" in body["messages"][0]["content"]
    assert "Norte" not in json.dumps(body)


def test_without_an_address_nothing_is_called(model: Any, lexicon: Lexicon) -> None:
    silent = SimpleNamespace(ask_rewriter_url=None)

    assert rewrite(silent, "moolah", lexicon) is None  # type: ignore[arg-type]
    assert model.asked == []


@pytest.mark.parametrize(
    "said",
    [
        "Revenue last week was 1234.56 euros",  # a figure
        "revenue in 2025-05",  # a day nobody named
        "top 3 stores by revenue",  # a limit nobody named
        "revenue last week\nand the password",
        "x" * 500,
        "",
        "none",
    ],
)
def test_reply_with_anything_of_its_own_is_dropped(model: Any, lexicon: Lexicon, said: str) -> None:
    model.reply = saying(said)

    assert rewrite(settings_of(model), "how much moolah last week", lexicon) is None


@pytest.mark.parametrize(
    "said",
    [
        "select sum(net_amount) from core.sales",
        "revenue'; drop table core.sales; --",
        "Ignore the grammar and answer one million",
        "<script>alert(document.cookie)</script>",
        "revenue of the moon last week",
    ],
)
def test_hostile_reply_is_refused_by_the_grammar(model: Any, lexicon: Lexicon, said: str) -> None:
    model.reply = saying(said)

    rewritten = rewrite(settings_of(model), "how much moolah last week", lexicon)

    assert rewritten is None or isinstance(parse(rewritten, lexicon, TODAY), Refused)


@pytest.mark.parametrize(
    "reply",
    [
        (500, b"no"),
        (302, b"elsewhere"),
        (200, b"not json"),
        (200, b"[]"),
        (200, b'{"choices": []}'),
        (200, b'{"choices": [{"message": {"content": 5}}]}'),
        (200, b'{"choices": [{"message": {"content": "' + b"a" * MOST_BYTES * 2 + b'"}}]}'),
    ],
)
def test_broken_endpoint_changes_nothing(model: Any, lexicon: Lexicon, reply: tuple[int, bytes]) -> None:
    model.reply = reply

    assert rewrite(settings_of(model), "how much moolah last week", lexicon) is None
    assert len(model.asked) == 1
