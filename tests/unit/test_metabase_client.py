"""The client against a server that answers in every way Metabase, its proxies and its crashes do."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from pydantic import SecretStr

from metabase.client import Client, MetabaseError, MetabaseRefused, MetabaseSilent
from metabase.versions import FLOORS, check_version

JSON, TEXT = "application/json", "text/plain"
BREAK = "break"


@dataclass
class Script:
    """A server that gives its answers in order, the last one again and again; BREAK closes without a word."""

    url: str
    answers: list[tuple[int, str, str] | str]
    asked: list[str] = field(default_factory=list)
    connections: int = 0


def answer(status: int, body: str = "", kind: str = JSON) -> tuple[int, str, str]:
    return status, kind, body


@pytest.fixture
def serving() -> Iterator[Callable[..., Script]]:
    """Makes scripted servers; all are closed at the end."""
    sockets: list[socket.socket] = []

    def start(*answers: tuple[int, str, str] | str) -> Script:
        listening = socket.create_server(("127.0.0.1", 0))
        sockets.append(listening)
        script = Script(f"http://127.0.0.1:{listening.getsockname()[1]}", list(answers))
        threading.Thread(target=accept, args=(listening, script), daemon=True).start()
        return script

    yield start
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


def accept(listening: socket.socket, script: Script) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listening.accept()
            script.connections += 1
            threading.Thread(target=speak, args=(connection, script), daemon=True).start()


def speak(connection: socket.socket, script: Script) -> None:
    """Keeps the connection open between answers, as Metabase does until it suddenly does not."""
    with connection, connection.makefile("rb") as reading:
        while line := reading.readline():
            script.asked.append(line.decode().rsplit(" ", 1)[0])
            length = 0
            while (header := reading.readline()) not in (b"\r\n", b""):
                name, _, value = header.decode().partition(":")
                length = int(value) if name.lower() == "content-length" else length
            reading.read(length)
            reply = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
            if isinstance(reply, str):
                return
            status, kind, body = reply
            head = f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {len(body.encode())}\r\n\r\n"
            connection.sendall(head.encode() + body.encode())


def client(script: Script) -> Client:
    return Client(script.url, api_key=SecretStr("mb_secret"), pause=lambda seconds: None)


def test_a_read_is_tried_again_after_a_kept_connection_was_closed(serving: Callable[..., Script]) -> None:
    script = serving(answer(200, "[]"), BREAK, answer(200, '[{"id": 1}]'))

    with client(script) as metabase:
        first, second = metabase.get("/api/card"), metabase.get("/api/card")

    assert (first, second) == ([], [{"id": 1}])


def test_a_write_whose_answer_is_lost_is_never_sent_twice(serving: Callable[..., Script]) -> None:
    script = serving(BREAK)

    with client(script) as metabase, pytest.raises(MetabaseSilent):
        metabase.post("/api/card", {})

    assert script.asked == ["POST /api/card"]


def test_a_write_uses_no_connection_that_was_kept(serving: Callable[..., Script]) -> None:
    script = serving(answer(200, "[]"))

    with client(script) as metabase:
        metabase.get("/api/card")
        metabase.put("/api/card/1", {})
        metabase.get("/api/card")

    assert script.connections == 2


def test_a_write_that_never_left_is_an_error_with_a_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"

    with Client(url, pause=lambda seconds: None) as metabase, pytest.raises(MetabaseError) as failure:
        metabase.post("/api/card", {})

    assert not isinstance(failure.value, MetabaseSilent)
    assert "is Metabase running?" in (failure.value.next or "")


def test_a_starting_server_is_asked_again_even_for_writes(serving: Callable[..., Script]) -> None:
    """Before its routes exist Metabase does nothing, so nothing can be done twice."""
    starting = answer(503, "Metabase is still initializing. Please sit tight...", TEXT)
    script = serving(starting, starting, answer(200, '{"id": 1}'))

    with client(script) as metabase:
        assert metabase.post("/api/card", {}) == {"id": 1}


def test_a_gateways_503_is_no_reason_to_write_twice(serving: Callable[..., Script]) -> None:
    script = serving(answer(503, "upstream", TEXT))

    with client(script) as metabase, pytest.raises(MetabaseRefused):
        metabase.post("/api/card", {})

    assert len(script.asked) == 1


@pytest.mark.parametrize(
    ("status", "kind", "body", "reason"),
    [
        (400, JSON, '{"errors": {"name": "value must be a non-blank string."}}', "name: value must be a non-blank"),
        (400, TEXT, "This dashboard has tab, makes sure every card has a tab", "This dashboard has tab"),
        (400, JSON, '{"message": "no"}', "no"),
        (401, TEXT, "Unauthenticated", "Unauthenticated"),
        (402, JSON, '{"message": "needs advanced permissions"}', "advanced"),
        (403, TEXT, "You don't have permissions to do that.", "permissions"),
        (404, TEXT, "API endpoint does not exist.", "does not exist"),
        (409, TEXT, "someone else edited", "someone else"),
        (500, JSON, '{"message": "boom", "via": [], "trace": ["secret stack"]}', "boom"),
        (500, JSON, "{broken", "broken"),
        (302, TEXT, "", "give that address"),
    ],
)
def test_errors_of_every_shape_are_told(
    status: int, kind: str, body: str, reason: str, serving: Callable[..., Script]
) -> None:
    script = serving((status, kind, body))

    with client(script) as metabase, pytest.raises(MetabaseRefused) as failure:
        metabase.get("/api/card")

    assert status == failure.value.status
    assert reason in (failure.value.cause or "")
    assert "stack" not in (failure.value.cause or "")
    assert "mb_secret" not in str(failure.value) + str(failure.value.cause) + str(failure.value.next)


def test_a_login_page_before_metabase_is_told(serving: Callable[..., Script]) -> None:
    script = serving(answer(200, "<html>Log in</html>", "text/html"))

    with client(script) as metabase, pytest.raises(MetabaseError, match="no JSON") as failure:
        metabase.get("/api/card")

    assert "login page" in (failure.value.next or "")


def test_an_empty_answer_is_none(serving: Callable[..., Script]) -> None:
    script = serving(answer(204))

    with client(script) as metabase:
        assert metabase.delete("/api/card/1") is None


def test_failed_sql_in_a_202_is_an_error(serving: Callable[..., Script]) -> None:
    script = serving(answer(202, '{"status": "failed", "error": "ERROR: relation \\"x\\" does not exist"}'))

    with client(script) as metabase, pytest.raises(MetabaseError) as failure:
        metabase.run_sql(1, "select 1 from x")

    assert 'relation "x" does not exist' in (failure.value.cause or "")
    assert metabase.writes == 0


def test_lists_are_read_page_by_page(serving: Callable[..., Script]) -> None:
    script = serving(
        answer(200, '{"data": [{"id": 1}, {"id": 2}], "total": 3}'), answer(200, '{"data": [{"id": 3}], "total": 3}')
    )

    with client(script) as metabase:
        rows = metabase.get_list("/api/user")

    assert [row["id"] for row in rows] == [1, 2, 3]
    assert "offset=2" in script.asked[1]


def test_health_is_waited_for_and_its_last_word_told(serving: Callable[..., Script]) -> None:
    script = serving(answer(503, '{"status":"initializing","progress":0.4}'))

    with client(script) as metabase, pytest.raises(MetabaseError, match="not ready") as failure:
        metabase.wait_until_healthy(0.05)

    assert "initializing" in (failure.value.cause or "")


# --- versions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", FLOORS)
def test_the_floor_of_each_line_is_the_first_that_may_be_used(line: int) -> None:
    floor = FLOORS[line]

    assert check_version(f"v0.{line}.{floor}") is None
    assert check_version(f"v1.{line}.{floor + 1}.2") is None
    if floor:
        with pytest.raises(MetabaseError, match="refused") as failure:
            check_version(f"v0.{line}.{floor - 1}")
        assert f"0.{line}.{floor}" in (failure.value.cause or "")


@pytest.mark.parametrize("tag", [None, "", "vLOCAL_DEV", "v2.1.0", "v0.57.99", "v0.46.6"])
def test_what_can_not_be_judged_or_is_too_old_is_refused(tag: str | None) -> None:
    with pytest.raises(MetabaseError):
        check_version(tag)


def test_a_line_from_the_future_is_used_with_a_word() -> None:
    assert "newer" in (check_version("v0.70.1") or "")
