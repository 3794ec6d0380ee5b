"""The fast ways of copying say the same as the plain ones: JSON of rows, binary COPY, COPYs in a thread aside."""

from __future__ import annotations

import hashlib
import struct
import threading

import orjson
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.documents import Chunk, json_objects
from transforms.intake import Document, Load, _copy_bytes
from transforms.stage import COPIES_AHEAD, copying_aside

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8), TEXTS)
def test_rows_are_the_json_orjson_writes(rows: list[tuple[str, str]], name: str) -> None:
    first, second = zip(*rows, strict=True)
    names = [f"{name}1", f"{name}2"]
    table = pa.table([pa.array(first, pa.string()), pa.array(second, pa.string())], names=names)

    objects = json_objects(table).to_pylist()

    assert objects == [orjson.dumps(dict(zip(names, row, strict=True))) for row in rows]


def unpacked(content: bytes) -> list[list[bytes | None]]:
    """The columns of each row of a binary COPY."""
    assert content.startswith(b"PGCOPY\n\xff\r\n\0" + bytes(8))
    assert content.endswith(b"\xff\xff")
    place, rows = 19, []
    while (count := struct.unpack_from(">h", content, place)[0]) != -1:
        place += 2
        row: list[bytes | None] = []
        for _ in range(count):
            (length,) = struct.unpack_from(">i", content, place)
            place += 4
            row.append(None if length < 0 else content[place : place + length])
            place += max(length, 0)
        rows.append(row)
    assert place == len(content) - 2
    return rows


def test_records_are_copied_with_their_ids_payload_and_hash() -> None:
    payloads = [b'{"Item":"Caf\xc3\xa9"}', b'{"Item":"\\n"}']
    chunk = Chunk([1, 2], payloads, ["T1\tA", None], pd.DataFrame())
    document = Document(7, None, "made by a test", None, None, b"")

    rows = unpacked(_copy_bytes(chunk, document, Load(3, "pos", None)))

    assert rows == [
        [
            struct.pack(">q", 7 * 100_000_000 + position),
            struct.pack(">q", 7),
            struct.pack(">q", 3),
            struct.pack(">i", position),
            record_id,
            b"\x01" + payload,
            hashlib.sha256(payload).digest(),
        ]
        for position, record_id, payload in zip([1, 2], [b"T1 A", None], payloads, strict=True)
    ]


def test_copies_aside_are_made_in_order_and_all() -> None:
    made: list[int] = []

    with copying_aside() as later:
        for number in range(COPIES_AHEAD * 3):
            later(lambda number=number: made.append(number))  # type: ignore[misc]  # the number as it is now

    assert made == list(range(COPIES_AHEAD * 3))


def test_an_error_of_a_copy_reaches_the_caller_and_the_rest_is_left() -> None:
    made: list[str] = []

    def fail() -> None:
        raise ValueError("the server said no")

    with pytest.raises(ValueError, match="the server said no"), copying_aside() as later:
        later(fail)
        for _ in range(COPIES_AHEAD + 2):
            later(lambda: made.append("after"))

    assert len(made) <= COPIES_AHEAD


def test_the_caller_waits_when_the_server_is_slow() -> None:
    go_on, waiting = threading.Event(), threading.Event()

    def give_all() -> None:
        with copying_aside() as later:
            for _ in range(COPIES_AHEAD):
                later(lambda: go_on.wait() and None)
            waiting.set()
            later(lambda: None)
            passed.set()

    passed = threading.Event()
    giver = threading.Thread(target=give_all)
    giver.start()
    waiting.wait(5)

    assert not passed.wait(0.05)

    go_on.set()
    giver.join(5)
    assert passed.is_set()
