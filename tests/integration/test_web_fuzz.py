"""Anything may be asked of any page: the answer is a page or a refusal, never a server error."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as quickly
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Route

from panpan.settings import Settings
from panpan.web.app import build_app

WORDS = st.sampled_from(
    [
        "revenue",
        "sales",
        "sales_by_day",
        "stock",
        "2026-06-01",
        "all",
        "last-week",
        "2026-Q9",
        "store",
        "pos",
        "1",
        "0",
        "-1",
    ]
)
HOSTILE = st.sampled_from(
    [
        "'",
        '"><script>',
        "../../etc/passwd",
        "%00",
        "\x00",
        "\ud800",
        "9" * 400,
        "a" * 3000,
        "{{7*7}}",
        "null",
        "NaN",
        "1e999",
    ]
)
TEXT = st.one_of(WORDS, HOSTILE, st.text(max_size=30))
NAMES = st.sampled_from(
    ["period", "store", "by", "where", "from", "to", "q", "question", "as_of", "page", "metric", "day", "limit", "plan"]
)
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
KIND = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def app(new_warehouse: Callable[[], AbstractContextManager[Settings]]) -> Iterator[Starlette]:
    with new_warehouse() as settings:
        yield build_app(settings)


def paths(app: Starlette) -> list[str]:
    return sorted({route.path for route in app.routes if isinstance(route, Route)})


def ask(app: Starlette, method: str, path: str, query: str = "", body: bytes = b"") -> int:
    """The status of one request, spoken straight to the application."""

    async def speak() -> int:
        statuses: list[int] = []
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode("utf-8", "surrogatepass"),
            "query_string": query.encode("latin-1", "replace"),
            "headers": [(b"host", b"localhost"), (b"content-type", KIND.encode())],
            "scheme": "http",
            "client": ("127.0.0.1", 1),
            "server": ("localhost", 80),
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        try:
            await app(scope, receive, send)
        except Exception:
            statuses[:] = [599]  # what nobody caught is a server error too
            raise
        return statuses[0]

    return asyncio.run(speak())


def test_every_route_is_asked(app: Starlette) -> None:
    assert {"/", "/health", "/questions/{name}.csv"} <= set(paths(app))


@quickly(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_request_makes_a_server_error(app: Starlette, data: st.DataObject) -> None:
    template = data.draw(st.sampled_from(paths(app)), label="route")
    path = re.sub(r"\{[^}]+\}", lambda _: data.draw(TEXT, label="part").replace("/", "-"), template)
    pairs = data.draw(st.lists(st.tuples(st.one_of(NAMES, TEXT), TEXT), max_size=4), label="query")
    query = data.draw(st.sampled_from(["plain", "raw"]), label="how")
    text = (
        urlencode([(name.encode("utf-8", "replace"), value.encode("utf-8", "replace")) for name, value in pairs])
        if query == "plain"
        else "&".join(quote(f"{name}={value}", safe="%=&;+", errors="replace") for name, value in pairs)
    )
    method = data.draw(METHODS, label="method")
    body = data.draw(st.binary(max_size=60), label="body") if method in ("POST", "PUT") else b""

    status = ask(app, method, path.encode("utf-8", "replace").decode(), text, body)

    assert status < 500, (method, path, text)
