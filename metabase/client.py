"""
Metabase over HTTP: one place that knows how its server answers, fails and forgets.

Comes in: paths and bodies. Goes out: decoded answers, or errors in words. What is written is compared by the
callers with what is read afterwards, because Metabase drops keys it does not know without a word.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

import requests
from pydantic import SecretStr
from urllib3.exceptions import MaxRetryError, NewConnectionError

from panpan.errors import PanpanError

TIMEOUT_SECONDS = (5, 120)  # to connect, to answer
READ_TRIES = 4
PAUSE_SECONDS = 0.3  # before the second try; doubled each time
PAGE_ROWS = 200
LONGEST_REASON = 400

Method = Literal["GET", "POST", "PUT", "DELETE"]


class MetabaseError(PanpanError):
    """Metabase could not be reached, or did not do what it was asked."""


class MetabaseRefused(MetabaseError):
    """Metabase answered, and the answer was no."""

    def __init__(self, message: str, status: int, reason: str) -> None:
        super().__init__(message, cause=f"{status}: {reason}" if reason else str(status), next=NEXT.get(status))
        self.status = status
        self.reason = reason


class MetabaseSilent(MetabaseError):
    """A write got no answer, so it may have been done or not; what the server holds must be read again."""


NEXT = {
    401: "the API key or password is wrong or withdrawn: set PANPAN_METABASE_API_KEY or PANPAN_METABASE_ADMIN_PASSWORD",
    402: "this function needs a paid edition; panpan uses none on purpose, so tell us",
    403: "the API key must be one of group Administrators",
    503: "Metabase is still starting: try again in a minute",
}


class Client:
    """
    A connection to one Metabase, by API key or after `log_in`. `writes` counts requests that change something.

    Reads are tried again after a broken connection. Writes are tried again only when they certainly never
    reached the server; each uses a connection of its own, because Metabase closes kept ones without notice.
    """

    def __init__(
        self, url: str, *, api_key: SecretStr | None = None, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self.url = url.rstrip("/")
        self.writes = 0
        self._pause = pause
        self._session = new_session()
        self._headers: dict[str, str] = {}
        if api_key is not None:
            self.use_key(api_key)

    def use_key(self, api_key: SecretStr) -> None:
        self._headers = {"x-api-key": api_key.get_secret_value()}

    @property
    def is_known(self) -> bool:
        """Whether it speaks as somebody."""
        return bool(self._headers)

    def close(self) -> None:
        self._session.close()

    def pause(self, seconds: float) -> None:
        """Wait for what the server does by itself."""
        self._pause(seconds)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait_until_healthy(self, seconds: float = 300) -> None:
        """
        Return once the server answers that it is well.

        Errors: MetabaseError with its last word after so many seconds.
        """
        deadline = time.monotonic() + seconds
        while True:
            word = self._health()
            if word is None:
                return
            if time.monotonic() > deadline:
                raise MetabaseError(
                    f"Metabase at {self.url} is not ready",
                    cause=word,
                    next="is it running, and is PANPAN_METABASE_URL right? Its first start takes minutes",
                )
            self._pause(min(1.0, seconds / 10))

    def log_in(self, email: str, password: SecretStr) -> None:
        """From now on speak as this person."""
        body = {"username": email, "password": password.get_secret_value()}
        self._headers = {}
        answer = self._send("POST", "/api/session", body=body, again=True)
        self._headers = {"X-Metabase-Session": str(answer["id"])}

    def get(self, path: str, **params: Any) -> Any:
        """A decoded answer; None where Metabase answers with nothing."""
        return self._send("GET", path, params=params, again=True)

    def get_list(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """A collection as a list, whichever of its two shapes it has, all pages of it."""
        answer = self.get(path, **params)
        if isinstance(answer, list):
            return answer
        rows = list(answer["data"])
        while len(rows) < (answer.get("total") or 0):
            more = self.get(path, **params, limit=PAGE_ROWS, offset=len(rows))["data"]
            if not more:
                break
            rows += more
        return rows

    def post(self, path: str, body: Any = None) -> Any:
        return self._write("POST", path, body)

    def put(self, path: str, body: Any = None) -> Any:
        return self._write("PUT", path, body)

    def delete(self, path: str) -> Any:
        return self._write("DELETE", path, None)

    def run_sql(self, database_id: int, sql: str, tags: dict[str, Any] | None = None) -> list[list[Any]]:
        """
        The rows of a statement, run as Metabase would; changes nothing.

        Errors: MetabaseError with the database's words. Metabase says 202 to failed statements too.
        """
        native = {"query": sql, "template-tags": tags or {}}
        body = {"type": "native", "database": database_id, "native": native}
        answer = self._send("POST", "/api/dataset", body=body, again=True)
        if not isinstance(answer, dict) or answer.get("status") != "completed":
            words = answer.get("error") if isinstance(answer, dict) else answer
            raise MetabaseError("a statement failed in Metabase", cause=str(words or "no reason was given")[:2000])
        return list(answer["data"]["rows"])

    def _write(self, method: Method, path: str, body: Any) -> Any:
        self.writes += 1
        return self._send(method, path, body=body, again=False)

    def _send(
        self, method: Method, path: str, *, params: dict[str, Any] | None = None, body: Any = None, again: bool
    ) -> Any:
        for number in range(1, READ_TRIES + 1):
            try:
                response = self._request(method, path, params, body, kept=again)
            except requests.RequestException as error:
                if number < READ_TRIES and (again or never_arrived(error)):
                    self._pause(PAUSE_SECONDS * 2 ** (number - 1))
                    continue
                raise self._unanswered(method, path, error, again) from None
            if response.status_code in (502, 503, 504) and number < READ_TRIES and (again or is_starting(response)):
                self._pause(PAUSE_SECONDS * 2 ** (number - 1))
                continue
            return decode(response, method, path)
        raise AssertionError("the last try returns or raises")

    def _request(
        self, method: Method, path: str, params: dict[str, Any] | None, body: Any, *, kept: bool
    ) -> requests.Response:
        session = self._session if kept else new_session()
        headers = self._headers if kept else {**self._headers, "Connection": "close"}
        try:
            return session.request(
                method,
                self.url + path,
                params=params,
                json=body,
                headers=headers,
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
            )
        finally:
            if not kept:
                session.close()

    def _unanswered(self, method: Method, path: str, error: Exception, is_read: bool) -> MetabaseError:
        what = f"{method} {path} got no answer from {self.url}"
        cause = f"{type(error).__name__}: {error}"[:LONGEST_REASON]
        if is_read or never_arrived(error):
            return MetabaseError(what, cause=cause, next="is Metabase running? Then run the command again")
        return MetabaseSilent(what, cause=cause, next="run the command again; it finds out what was done")

    def _health(self) -> str | None:
        """None when well, else what the server said."""
        try:
            response = self._session.get(f"{self.url}/api/health", timeout=TIMEOUT_SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            return f"{type(error).__name__}: {error}"[:LONGEST_REASON]
        return None if response.status_code == 200 else f"{response.status_code}: {response.text[:LONGEST_REASON]}"


def new_session() -> requests.Session:
    """A session that takes neither proxies nor passwords from its surroundings."""
    session = requests.Session()
    session.trust_env = False
    return session


def never_arrived(error: Exception) -> bool:
    """Whether no connection was made at all, so nothing can have happened."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    inner = error.args[0] if error.args else None
    return isinstance(inner, MaxRetryError) and isinstance(inner.reason, NewConnectionError)


def is_starting(response: requests.Response) -> bool:
    """Metabase's own 503 from before its routes exist: nothing was done."""
    return response.status_code == 503 and "initializing" in response.text


def decode(response: requests.Response, method: str, path: str) -> Any:
    """
    The answer's content: JSON, None for an empty one.

    Errors: MetabaseRefused with the server's words, whether they are JSON or not.
    """
    if response.status_code >= 300:
        raise MetabaseRefused(f"Metabase refused {method} {path}", response.status_code, reason_of(response))
    if response.status_code == 204 or not response.content:
        return None
    if "json" not in response.headers.get("Content-Type", ""):
        raise MetabaseError(
            f"{method} {path} was answered with something that is no JSON",
            cause=f"{response.headers.get('Content-Type')}: {response.text[:120]!r}",
            next="does PANPAN_METABASE_URL point at Metabase itself, without a login page before it?",
        )
    try:
        return response.json()
    except ValueError:
        raise MetabaseError(f"{method} {path} was answered with broken JSON", cause=response.text[:120]) from None


def reason_of(response: requests.Response) -> str:
    """What an error answer says, from any of its shapes; never a stack trace."""
    if 300 <= response.status_code < 400:
        return f"sent on to {response.headers.get('Location')}: give that address as PANPAN_METABASE_URL"
    try:
        body = response.json() if "json" in response.headers.get("Content-Type", "") else response.text
    except ValueError:
        body = response.text
    if isinstance(body, dict):
        errors = body.get("errors") or body.get("specific-errors")
        body = "; ".join(f"{k}: {v}" for k, v in errors.items()) if isinstance(errors, dict) else body.get("message")
    return str(body or "").strip()[:LONGEST_REASON]
