"""
The double as a real HTTP server on loopback: statuses, content types and broken connections as Metabase has them.
"""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
import uvicorn
from metabase_double import schemas
from metabase_double.routes import ANYBODY, FORBIDDEN, PUBLIC, READING, ROUTES, Asked
from metabase_double.state import Metabase, Refuse, Row
from requests.adapters import BaseAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

STARTING = "Metabase is still initializing. Please sit tight..."
QUERIES = ("/api/dataset", "/query")


class Cut(Exception):
    """The connection breaks before the answer is whole."""


class Broken(Response):
    """An answer that promises more than it sends, which ends the connection."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"1000"), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": False})


class Double:
    """A running server: its address, its memory, and a switch that cuts a connection at a write."""

    def __init__(self, m: Metabase) -> None:
        self.m = m
        self.url = ""
        self.cut_before: int | None = None  # the number of the write whose request is never handled
        self.cut_after: int | None = None  # the number of the write whose answer is never sent
        self._lock = threading.Lock()

    def answer(self, method: str, path: str, query: Row, headers: Row, body: Any) -> Response:
        """One request, handled alone."""
        with self._lock:
            try:
                return self._answer(method, path, query, headers, body)
            except Cut:
                return Broken()
            except Refuse as refusal:
                self.m.log.append((method, path, refusal.status))
                return refused(refusal)

    def _answer(self, method: str, path: str, query: Row, headers: Row, body: Any) -> Response:
        m = self.m
        if m.starting > 0:
            m.starting -= 1
            raise Refuse(503, {"status": "initializing", "progress": 0.4} if path == "/api/health" else STARTING)
        template, ids, handler = resolve(method, path)
        writes = method != "GET" and (method, template) not in READING
        m.writes += writes
        if writes and m.writes == self.cut_before:
            raise Cut
        user = self._user(headers)
        check_rights(method, template, user)
        kept = self._checked(method, template, query, body)
        result = handler(Asked(m, user, ids, query, kept))
        if writes and m.writes == self.cut_after:
            raise Cut
        response = answered(template, result)
        m.log.append((method, path, response.status_code))
        return response

    def _checked(self, method: str, template: str, query: Row, body: Any) -> Any:
        """The body as a handler sees it; whatever is against the rules is noted."""
        unknown = schemas.undeclared_parameters(method, template, set(query))
        if unknown:
            self.m.violations.append(f"{method} {template}: {sorted(unknown)}")
        faults = schemas.faults(method, template, body)
        if faults:
            self.m.violations.append(f"{method} {template}: {faults}")
            raise Refuse(400, {"errors": faults, "specific-errors": {}})
        kept, lost = schemas.strip(method, template, deepcopy(body))
        if (method, template) not in schemas.SENT_BACK:
            self.m.dropped += [f"{method} {template}: {key}" for key in lost]
        return kept

    def _user(self, headers: Row) -> Row | None:
        key = headers.get("x-api-key")
        for row in self.m.keys.values():
            if key is not None and row["secret"] == key:
                return self.m.users[row["user_id"]]
        number = self.m.sessions.get(headers.get("x-metabase-session") or "")
        return self.m.users[number] if number is not None else None

    def written(self) -> list[str]:
        """Every handled request that was not a GET."""
        return [f"{method} {path} {status}" for method, path, status in self.m.log if method != "GET"]


def check_rights(method: str, template: str, user: Row | None) -> None:
    """Nobody gets in without credentials, and nearly everything is for administrators."""
    if (method, template) in PUBLIC:
        return
    if user is None:
        raise Refuse(401, "Unauthenticated")
    if not user["is_superuser"] and (method, template) not in ANYBODY:
        raise Refuse(403, FORBIDDEN)


def resolve(method: str, path: str) -> tuple[str, Row, Any]:
    for verb, template, pattern, handler in ROUTES:
        match = pattern.match(path)
        if match and verb == method:
            return template, match.groupdict(), handler
    raise Refuse(404, "API endpoint does not exist.")


def answered(template: str, result: Any) -> Response:
    """200; 202 for whatever runs a query; 204 with nothing."""
    if result is None:
        return Response(status_code=204)
    if template.endswith(QUERIES):
        return JSONResponse(result, 202, headers={"Connection": "close"})
    return JSONResponse(result)


def refused(refusal: Refuse) -> Response:
    if isinstance(refusal.body, dict):
        return JSONResponse(refusal.body, refusal.status)
    return PlainTextResponse(refusal.body, refusal.status)


def build_app(double: Double) -> Any:
    async def endpoint(request: Request) -> Response:
        raw = await request.body()
        body = json.loads(raw) if raw else None
        return double.answer(request.method, request.url.path, dict(request.query_params), dict(request.headers), body)

    return Starlette(routes=[Route("/{path:path}", endpoint, methods=["GET", "POST", "PUT", "DELETE"])])


class Direct(BaseAdapter):
    """Carries requests to the double without a socket: for loops of thousands, on a busy machine."""

    def __init__(self, double: Double) -> None:
        super().__init__()
        self.double = double

    def send(self, request: Any, *args: Any, **options: Any) -> requests.Response:
        address = urlsplit(request.url)
        query = dict(parse_qsl(address.query))
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = json.loads(request.body) if request.body else None
        answer = self.double.answer(request.method, address.path, query, headers, body)
        response = requests.Response()
        response.status_code = answer.status_code
        response.headers.update(dict(answer.headers))
        response.raw = io.BytesIO(bytes(answer.body))
        response.url, response.request, response.encoding = request.url, request, "utf-8"
        return response

    def close(self) -> None:
        pass


@contextmanager
def serve(m: Metabase) -> Iterator[Double]:
    """The double on a free port of this machine, as long as the block runs."""
    double = Double(m)
    config = uvicorn.Config(build_app(double), port=0, log_level="critical", ws="none", lifespan="off")
    program = uvicorn.Server(config)
    thread = threading.Thread(target=program.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not program.started:
        if time.monotonic() > deadline or not thread.is_alive():
            raise RuntimeError("the double did not start")
        time.sleep(0.01)
    double.url = f"http://127.0.0.1:{program.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield double
    finally:
        program.should_exit = True
        thread.join(10)
