"""
How the simulated systems answer: JSON, pages of a gateway, a connection that breaks, and bad questions.

Comes in: what an endpoint wants to say. Goes out: Starlette responses.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

MAINTENANCE = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"


class BadQuestion(Exception):
    """A parameter can't be understood; the system's own error form is made at the endpoint."""


class CutShort(Response):
    """Promises 4,096 bytes, sends a few, and closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start an answer and leave it unfinished, at which the server closes the connection."""
        headers = [(b"content-type", b"application/json"), (b"content-length", b"4096")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"results":[{"id":"2', "more_body": True})


def json_reply(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(body), status, headers, media_type="application/json")


def html_reply(title: str, status: int) -> Response:
    """A page written for people."""
    return Response(MAINTENANCE.format(title), status, media_type="text/html")


def moment_given(name: str, text: str) -> datetime:
    """A moment as a parameter has it, a zone only if it says one; BadQuestion when it is no moment."""
    # A plus sign that nobody escaped arrives as a blank.
    for spelling in (text, text.replace(" ", "+")):
        with suppress(ValueError):
            return datetime.fromisoformat(spelling)
    raise BadQuestion(f"{name} is {text!r}, expected a moment in ISO 8601")


def whole_number(request: Request, name: str, default: int, most: int) -> int:
    """A query parameter between 1 and most; BadQuestion otherwise."""
    text = request.query_params.get(name, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise BadQuestion(f"{name} is {text!r}, expected a number from 1 to {most}")
    return int(text)
