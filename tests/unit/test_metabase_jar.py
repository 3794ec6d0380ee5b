"""The Metabase program as a file: against a server of our own on this machine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from metabase.client import MetabaseError
from metabase.jar import VERSION, fetch

CONTENT = b"PK\x03\x04 not really a jar" * 1000
CHECKSUM = hashlib.sha256(CONTENT).hexdigest()


class Publisher(BaseHTTPRequestHandler):
    """Gives the jar, or half of it."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if "v0.1" in self.path:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("content-length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // (2 if "v0.2" in self.path else 1)])

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def publisher() -> Iterator[str]:
    Publisher.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Publisher) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(5)


def test_a_jar_is_fetched_once_and_is_what_its_publisher_released(publisher: str, tmp_path: Path) -> None:
    folder = tmp_path / "tools" / "here"
    first = fetch(VERSION, CHECKSUM.upper(), folder, publisher)
    again = fetch(VERSION, CHECKSUM, folder, publisher)

    assert first == again
    assert first.read_bytes() == CONTENT
    assert Publisher.asked == [f"/{VERSION}/metabase.jar"]
    assert list(folder.iterdir()) == [first]


def test_a_jar_that_was_changed_on_disk_is_fetched_anew(publisher: str, tmp_path: Path) -> None:
    jar = fetch(VERSION, CHECKSUM, tmp_path, publisher)
    jar.write_bytes(b"something else")

    assert fetch(VERSION, CHECKSUM, tmp_path, publisher).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("version", "checksum", "said"),
    [
        (VERSION, "0" * 64, "nothing of it was kept"),
        (VERSION, "abc", "no SHA-256"),
        ("v1.64.6", CHECKSUM, "no version of the open-source edition"),
        ("../../etc", CHECKSUM, "no version of the open-source edition"),
        ("v0.1", CHECKSUM, "can't be downloaded"),
        ("v0.2", CHECKSUM, "can't be downloaded"),  # cut off in the middle
    ],
)
def test_what_is_not_the_jar_is_never_kept(
    publisher: str, tmp_path: Path, version: str, checksum: str, said: str
) -> None:
    with pytest.raises(MetabaseError) as failure:
        fetch(version, checksum, tmp_path, publisher)

    assert said in str(failure.value)
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_the_way_out_is_named(tmp_path: Path) -> None:
    with pytest.raises(MetabaseError) as failure:
        fetch(VERSION, CHECKSUM, tmp_path, "http://127.0.0.1:1")

    assert "can't be downloaded" in str(failure.value)
    assert "metabase preview" in (failure.value.next or "")
    assert list(tmp_path.iterdir()) == []
