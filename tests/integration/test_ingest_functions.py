"""The SQL functions n8n delivers by, on a real PostgreSQL, called as the role loader."""

from __future__ import annotations

import base64
import hashlib
import json
import select
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from psycopg2.extras import RealDictCursor

from db.connection import Role, connect
from panpan.ingest.sources import sync_source_settings
from panpan.settings import Settings

OWN_FUNCTIONS = {
    "waiting_files",
    "deliver_file",
    "register_file",
    "fail_file",
    "next_request",
    "record_answer",
    "report",
    "finish_run",
    "record_workflow_error",
}
CURSOR_API = {
    "entity": "contacts",
    "path": "/contacts",
    "paging": "cursor",
    "page_size": 2,
    "records": "$.results",
    "cursor": "$.paging.next.after",
    "updated_at": "$.results[*].updatedAt",
    "parameters": {"limit": "{page_size}", "after": "{cursor}", "since": "{window_from}", "q": "a b&c=é"},
}
PAGES_API = {
    "entity": "items",
    "path": "/items",
    "paging": "pages",
    "page_size": 100,
    "records": "$.items",
    "has_more": "$.context.has_more",
    "code": "code",
    "parameters": {"page": "{page}", "per_page": "{page_size}"},
}
XML_API = {
    "entity": "deliveries",
    "path": "/deliveries",
    "paging": "xml_pages",
    "media_type": "application/xml",
    "records": "deliveries",
    "parameters": {"page": "{page}"},
}
BODY_API = {
    "entity": "orders",
    "method": "POST",
    "path": "/search",
    "paging": "cursor",
    "page_size": 500,
    "records": "$.orders",
    "cursor": "$.cursor",
    "updated_at": "$.orders[*].updated_at",
    "body": {"limit": "{page_size}", "cursor": "{cursor}", "at": {"start": "{window_from}", "end": "{window_to}"}},
}


EMPTY = """
delete from raw_pos.documents; delete from raw_crm.documents; delete from raw_inventory.documents;
delete from ops.load_requests; delete from ops.inbox_files; delete from ops.loads; delete from ops.watermarks;
delete from ops.requested_windows; delete from ops.workflow_errors; delete from ops.source_settings
"""


@pytest.fixture(scope="module")
def module_warehouse(new_warehouse: Callable[[], AbstractContextManager[Settings]]) -> Iterator[Settings]:
    with new_warehouse() as settings:
        yield settings


@pytest.fixture
def warehouse(module_warehouse: Settings) -> Settings:
    """Emptied, with a source of files and one per kind of API."""
    contracts = [
        SimpleNamespace(source="shop", system="pos", api=None),
        api_contract("crm", "crm", CURSOR_API),
        api_contract("stock", "inventory", PAGES_API, XML_API),
        api_contract("orders", "pos", BODY_API),
    ]
    rows(module_warehouse, EMPTY, role="owner")
    with connect(module_warehouse, "transformer") as connection:
        sync_source_settings(connection, contracts, module_warehouse)
    return module_warehouse


def api_contract(source: str, system: str, *endpoints: dict[str, Any], **api: Any) -> SimpleNamespace:
    table = {"webhook": source, "base_url": "http://api", "endpoints": list(endpoints), **api}
    return SimpleNamespace(source=source, system=system, api=table)


def rows(settings: Settings, query: str, *values: Any, role: Role = "loader") -> list[dict[str, Any]]:
    with connect(settings, role) as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(query, values)
        return [dict(row) for row in cursor.fetchall()] if cursor.description else []


def row(settings: Settings, query: str, *values: Any, role: Role = "loader") -> dict[str, Any]:
    (found,) = rows(settings, query, *values, role=role)
    return found


def change(settings: Settings, query: str, *values: Any) -> None:
    rows(settings, query, *values, role="transformer")


def register(settings: Settings, name: str, content: bytes, *, byte_count: int | None = None) -> int:
    found = row(
        settings,
        "insert into ops.inbox_files (source, path, name, byte_count, modified_at, sha256)"
        " values ('shop', 'inbox/shop/' || %s, %s, %s, now(), %s) returning file_id",
        name,
        name,
        len(content) if byte_count is None else byte_count,
        hashlib.sha256(content).digest(),
        role="transformer",
    )
    return int(found["file_id"])


def deliver(
    settings: Settings, file_id: int, content: bytes | None, run_key: str = "run", error: str | None = None
) -> dict[str, Any]:
    text = None if content is None else base64.b64encode(content).decode()
    call = "select * from ops.deliver_file(%s, %s, 'files', '7', %s, %s)"
    return row(settings, call, file_id, text, run_key, error)


def loads(settings: Settings, source: str = "shop") -> list[dict[str, Any]]:
    return rows(settings, "select * from ops.loads where source = %s order by load_id", source, role="owner")


def documents(settings: Settings, system: str = "pos") -> list[dict[str, Any]]:
    query = f"select * from raw_{system}.documents order by document_id"  # noqa: S608  # one of our schemas
    return rows(settings, query, role="owner")


class TestFiles:
    def test_delivered_file_is_stored_byte_for_byte_and_announced(self, warehouse: Settings) -> None:
        content = b"\xff\xfe\x00 caf\xc3\xa9 $1 ' \\ \r\n" * 1000
        file_id = register(warehouse, "a.csv", content)

        with connect(warehouse, "transformer", autocommit=True) as listener:
            listener.cursor().execute("listen load_received")
            answer = deliver(warehouse, file_id, content)
            select.select([listener], [], [], 5)
            listener.poll()

            assert [n.payload for n in listener.notifies] == [str(answer["load_id"])]
        assert answer["status"] == "received"
        (document,) = documents(warehouse)
        assert bytes(document["content"]) == content
        assert bytes(document["sha256"]) == hashlib.sha256(content).digest()
        assert document["load_id"] == answer["load_id"]
        (load,) = loads(warehouse)
        assert (load["document_count"], load["byte_count"]) == (1, len(content))
        assert (load["workflow"], load["execution_id"], load["run_key"]) == ("files", "7", "run")

    def test_empty_file_is_delivered(self, warehouse: Settings) -> None:
        assert deliver(warehouse, register(warehouse, "empty.csv", b""), b"")["status"] == "received"

        assert bytes(documents(warehouse)[0]["content"]) == b""

    def test_same_bytes_again_are_a_duplicate_without_documents(self, warehouse: Settings) -> None:
        first = deliver(warehouse, register(warehouse, "a.csv", b"same"), b"same")

        again = deliver(warehouse, register(warehouse, "b.csv", b"same"), b"same")

        assert again["status"] == "duplicate"
        assert again["reason"] == f"the same content came as load {first['load_id']} (a.csv, received)"
        assert loads(warehouse)[1]["row_count"] == 0
        assert len(documents(warehouse)) == 1

    def test_file_changed_while_read_fails_and_may_come_again(self, warehouse: Settings) -> None:
        answer = deliver(warehouse, register(warehouse, "a.csv", b"before"), b"after it")

        assert answer["status"] == "failed"
        assert answer["reason"] == "a.csv changed while being read: 6 bytes registered, 8 bytes read"
        assert documents(warehouse) == []
        assert deliver(warehouse, register(warehouse, "a.csv", b"after it"), b"after it")["status"] == "received"

    def test_file_n8n_could_not_read_fails_with_its_message(self, warehouse: Settings) -> None:
        answer = deliver(warehouse, register(warehouse, "a.csv", b"x"), None, error="No file(s) found")

        assert answer["status"] == "failed"
        assert answer["reason"] == "n8n could not read a.csv: No file(s) found"

    def test_statement_repeated_by_n8n_loads_once(self, warehouse: Settings) -> None:
        file_id = register(warehouse, "a.csv", b"x")

        assert deliver(warehouse, file_id, b"x") == deliver(warehouse, file_id, b"x", run_key="other")
        assert len(loads(warehouse)) == len(documents(warehouse)) == 1

    def test_two_runs_at_once_take_one_file_once(self, warehouse: Settings) -> None:
        file_id = register(warehouse, "a.csv", b"x" * 100_000)

        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda n: deliver(warehouse, file_id, b"x" * 100_000, f"run {n}"), range(6)))

        assert {answer["load_id"] for answer in answers} == {loads(warehouse)[0]["load_id"]}
        assert len(loads(warehouse)) == len(documents(warehouse)) == 1

    def test_same_bytes_under_six_names_at_once_are_one_load_and_five_duplicates(self, warehouse: Settings) -> None:
        file_ids = [register(warehouse, f"{n}.csv", b"y" * 100_000) for n in range(6)]

        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda file_id: deliver(warehouse, file_id, b"y" * 100_000), file_ids))

        assert sorted(answer["status"] for answer in answers) == ["duplicate"] * 5 + ["received"]
        assert len(documents(warehouse)) == 1

    def test_large_file_is_registered_only(self, warehouse: Settings) -> None:
        content = b"large"
        file_id = register(warehouse, "big.csv", content, byte_count=10**9)

        answer = row(warehouse, "select * from ops.register_file(%s, 'files', '7', 'run')", file_id)

        (document,) = documents(warehouse)
        assert answer["status"] == "received"
        assert document["content"] is None
        assert document["stored_path"] == f"archive/shop/{hashlib.sha256(content).hexdigest()}-big.csv"
        assert document["byte_count"] == 10**9

    def test_call_offers_16_mebibytes_or_one_file(self, warehouse: Settings) -> None:
        for number in range(5):
            register(warehouse, f"{number}.csv", str(number).encode(), byte_count=6 * 2**20)

        offered = rows(warehouse, "select * from ops.waiting_files(null, 'run')")
        assert [found["path"].split("/")[-1] for found in offered] == ["0.csv", "1.csv"]
        assert all(found["is_inline"] for found in offered)

        alone = rows(warehouse, "select * from ops.waiting_files('shop', 'run', null, 1)")
        assert [found["is_inline"] for found in alone] == [False] * 5
        assert rows(warehouse, "select * from ops.waiting_files('crm', 'run')") == []

    def test_call_offers_200_files(self, warehouse: Settings) -> None:
        for number in range(230):
            register(warehouse, f"{number}.csv", str(number).encode())

        assert len(rows(warehouse, "select * from ops.waiting_files(null, 'run')")) == 200

    def test_file_that_failed_is_left_for_the_next_run(self, warehouse: Settings) -> None:
        deliver(warehouse, register(warehouse, "a.csv", b"x"), None, "run 1", "no")
        register(warehouse, "a.csv", b"x")

        assert rows(warehouse, "select * from ops.waiting_files(null, 'run 1')") == []
        assert len(rows(warehouse, "select * from ops.waiting_files(null, 'run 2')")) == 1

    @pytest.mark.parametrize(
        ("name", "pattern"),
        [
            ("ventas (1).csv", r"ventas \(1\).csv"),
            ("a[1]{b}*?.csv", r"a\[1\]\{b\}\*\?.csv"),
            ("+(a|b)!x.csv", r"\+\(a\|b\)!x.csv"),
        ],
    )
    def test_path_is_no_pattern(self, warehouse: Settings, name: str, pattern: str) -> None:
        register(warehouse, name, b"x")

        (offered,) = rows(warehouse, "select * from ops.waiting_files(null, 'run')")

        assert offered["path"] == f"{warehouse.home}/inbox/shop/{pattern}"

    def test_finish_fails_what_was_offered_and_not_delivered(self, warehouse: Settings) -> None:
        deliver(warehouse, register(warehouse, "a.csv", b"a"), b"a")
        register(warehouse, "b.csv", b"b")
        rows(warehouse, "select * from ops.waiting_files(null, 'run')")

        end = row(warehouse, "select * from ops.finish_run('files', '7', 'run')")

        assert end["failed_loads"] == 1
        assert end["message"] == ("1 of 2 loads failed: b.csv: n8n was told of the file and did not deliver it")
        assert [load["status"] for load in end["report"]["loads"]] == ["received", "failed"]

    def test_run_without_loads_ends_with_one_row(self, warehouse: Settings) -> None:
        end = row(warehouse, "select * from ops.finish_run('files', '7', 'nothing')")

        assert (end["status"], end["failed_loads"], end["report"]["loads"]) == ("done", 0, [])


REQUEST = ("load_id", "request_id", "entity", "page", "method", "url", "body")
Answer = tuple[int | None, dict[str, str], bytes | None, str | None]


def json_answer(body: Any, status: int = 200, **headers: str) -> Answer:
    return status, {"content-type": "application/json", **headers}, json.dumps(body).encode(), None


def contacts(*updated: str, after: str | None = None) -> Answer:
    body: dict[str, Any] = {"results": [{"id": moment, "updatedAt": moment} for moment in updated]}
    if after is not None:
        body["paging"] = {"next": {"after": after}}
    return json_answer(body)


def items(*ids: int, more: bool = False) -> Answer:
    return json_answer({"code": 0, "items": [{"id": n} for n in ids], "context": {"has_more": more}})


def deliveries(page: int, pages: int, inside: str = "<d/>") -> Answer:
    text = f'<?xml version="1.0"?>\n<deliveries page="{page}" pages="{pages}">{inside}</deliveries>\n'
    return 200, {}, text.encode(), None


def next_request(settings: Settings, source: str, run_key: str = "run") -> dict[str, Any]:
    return row(settings, "select * from ops.next_request(%s, 'pull', '9', %s)", source, run_key)


def record(settings: Settings, request_id: int, answer: Answer) -> dict[str, Any]:
    status, headers, body, error = answer
    text = None if body is None else base64.b64encode(body).decode()
    call = "select * from ops.record_answer(%s, %s, %s::jsonb, %s, %s)"
    return row(settings, call, request_id, status, json.dumps(headers), text, error)


def pull(settings: Settings, source: str, *answers: Answer, run_key: str = "run") -> list[dict[str, Any]]:
    """Play a whole run with these answers; gives each request with its verdict."""
    asked = []
    for answer in answers:
        request = next_request(settings, source, run_key)
        assert not request["is_done"], "the run was over before the last answer"
        asked.append({**request, **record(settings, request["request_id"], answer)})
    return asked


NOT_AN_ANSWER: list[tuple[str, Answer]] = [
    ("the source answered 429", json_answer({}, 429)),
    ("the source answered 408", (408, {}, b"", None)),
    ("the source answered 500: oops", (500, {}, b"oops", None)),
    ("the source answered 502: Bad Gateway", (502, {}, b"<html><h1>Bad  Gateway</h1></html>", None)),
    ("the source answered 503", (503, {}, None, None)),
    ("no answer from http://api: connect ECONNREFUSED", (None, {}, None, "connect ECONNREFUSED")),
    ("no answer from http://api: timeout", (None, {}, None, "timeout of 60000ms exceeded")),
    ("the answer is empty", (200, {}, b"", None)),
    ("the answer is a web page: We'll be right back", (200, {}, b"<!DOCTYPE html><p>We'll be right back</p>", None)),
    ("the answer is not JSON: {", (200, {}, b'{"items": [{"id": 1}, {"i', None)),
    ("the answer is not UTF-8 text", (200, {}, b'{"items": ["\xff"]}', None)),
    ("the answer has code 1002: migrating", json_answer({"code": 1002, "message": "migrating"})),
    ("the answer has code missing", json_answer({"items": []})),
    ("the answer has no list $.items", json_answer({"code": 0, "message": "success"})),
    ("the answer does not say whether there is more", json_answer({"code": 0, "items": []})),
]


class TestPulls:
    def test_cursor_is_followed_and_pages_are_kept_as_received(self, warehouse: Settings) -> None:
        first = contacts("2026-05-01T10:00:00Z", "2026-05-02T10:00:00Z", after="50 %")
        second = contacts("2026-05-03T10:00:00.5Z")

        asked = pull(warehouse, "crm", first, second)

        assert [page["url"] for page in asked] == [
            "http://api/contacts?limit=2&q=a%20b%26c%3D%C3%A9",
            "http://api/contacts?after=50%20%25&limit=2&q=a%20b%26c%3D%C3%A9",
        ]
        assert next_request(warehouse, "crm") == {
            **dict.fromkeys(REQUEST, None),
            "is_done": True,
            "status": "done",
        }
        (load,) = loads(warehouse, "crm")
        assert (load["status"], load["document_count"], load["entity"]) == ("received", 2, "contacts")
        stored = documents(warehouse, "crm")
        assert [bytes(document["content"]) for document in stored] == [first[2], second[2]]
        assert [bytes(document["sha256"]) for document in stored] == [
            hashlib.sha256(answer[2] or b"").digest() for answer in (first, second)
        ]
        assert stored[1]["name"] == "GET /contacts?after=50%20%25&limit=2&q=a%20b%26c%3D%C3%A9 (page 2)"
        assert (stored[0]["entity"], stored[0]["media_type"]) == ("contacts", "application/json")

    def test_next_run_begins_an_overlap_before_the_newest_record(self, warehouse: Settings) -> None:
        pull(warehouse, "crm", contacts("2026-05-03T10:00:00Z", "2026-05-01T10:00:00+02:00"))

        request = next_request(warehouse, "crm", "run 2")

        assert "since=2026-05-03T09%3A50%3A00.000Z" in request["url"]

    def test_question_in_the_body_keeps_its_types_and_window(self, warehouse: Settings) -> None:
        asked = pull(
            warehouse,
            "orders",
            json_answer({"orders": [{"updated_at": "2026-05-03T10:00:00Z"}], "cursor": 'a"{window_from}"'}),
            json_answer({}),
        )

        first, second = (json.loads(page["body"]) for page in asked)
        assert first["limit"] == 500
        assert "cursor" not in first
        assert "start" not in first["at"]
        assert second == {**first, "cursor": 'a"{window_from}"'}
        later = json.loads(next_request(warehouse, "orders", "run 2")["body"])
        assert later["at"]["start"] == "2026-05-03T09:50:00.000Z"
        assert loads(warehouse, "orders")[0]["status"] == "received"

    def test_endpoints_are_pulled_in_turn_by_page_number(self, warehouse: Settings) -> None:
        asked = pull(warehouse, "stock", items(1, more=True), items(2), deliveries(1, 2), deliveries(2, 2, "<e/>"))

        assert [(page["entity"], page["page"], page["verdict"]) for page in asked] == [
            ("items", 1, "ok"),
            ("items", 2, "ok"),
            ("deliveries", 1, "ok"),
            ("deliveries", 2, "ok"),
        ]
        assert next_request(warehouse, "stock")["status"] == "done"
        assert [load["status"] for load in loads(warehouse, "stock")] == ["received", "received"]

    @pytest.mark.parametrize(("fault", "answer"), NOT_AN_ANSWER, ids=[name for name, _ in NOT_AN_ANSWER])
    def test_passing_fault_is_asked_again_and_heals(self, warehouse: Settings, fault: str, answer: Answer) -> None:
        bad, good = pull(warehouse, "stock", answer, items(1))

        assert bad["verdict"] == "retry"
        assert bad["reason"].startswith(fault)
        assert 1 <= bad["wait_seconds"] <= 2
        assert (good["verdict"], good["page"], good["url"]) == ("ok", 1, bad["url"])
        assert loads(warehouse, "stock")[0]["status"] == "received"
        assert len(documents(warehouse, "inventory")) == 1

    @pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 410])
    def test_refusal_fails_at_once_and_other_endpoints_go_on(self, warehouse: Settings, status: int) -> None:
        refused, other = pull(warehouse, "stock", json_answer({"message": "no"}, status), deliveries(1, 1))

        assert refused["verdict"] == "failed"
        assert f"items page 1: the source answered {status}" in refused["reason"]
        assert other["entity"] == "deliveries"
        assert [load["status"] for load in loads(warehouse, "stock")] == ["failed", "received"]

    def test_load_fails_after_the_last_attempt_and_other_endpoints_go_on(self, warehouse: Settings) -> None:
        asked = pull(warehouse, "stock", *[(503, {}, b"busy", None)] * 5, deliveries(1, 1))

        assert [page["verdict"] for page in asked] == ["retry"] * 4 + ["failed", "ok"]
        assert asked[4]["reason"] == "items page 1: the source answered 503: busy (attempt 5, the last)"
        waits = [float(page["wait_seconds"]) for page in asked[:4]]
        assert all(2**n <= wait <= 2 ** (n + 1) for n, wait in enumerate(waits))

    def test_attempts_are_counted_per_page(self, warehouse: Settings) -> None:
        busy: Answer = (503, {}, None, None)

        asked = pull(warehouse, "stock", *[busy] * 4, items(1, more=True), *[busy] * 4, items(2))

        assert asked[-1]["verdict"] == "ok"

    @pytest.mark.parametrize(
        ("asked", "least", "most"),
        [
            ("7", 7, 7),
            ("0", 0, 0),
            ("1.5", 1.5, 1.5),
            ("3600", 60, 60),
            ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
            ("soon", 1, 2),
            ("-5", 1, 2),
        ],
    )
    def test_retry_after_is_obeyed(self, warehouse: Settings, asked: str, least: float, most: float) -> None:
        (page,) = pull(warehouse, "crm", json_answer({}, 429, **{"Retry-After": asked}))

        assert least <= page["wait_seconds"] <= most

    def test_retry_after_may_be_a_date(self, warehouse: Settings) -> None:
        soon = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)

        (page,) = pull(warehouse, "crm", json_answer({}, 429, **{"Retry-After": soon}))

        assert 10 <= page["wait_seconds"] <= 20

    def test_retry_after_date_is_read_by_the_sources_clock(self, warehouse: Settings) -> None:
        headers = {"date": "Wed, 21 Oct 2015 07:28:00 GMT", "retry-after": "Wed, 21 Oct 2015 07:28:12 GMT"}

        (page,) = pull(warehouse, "crm", json_answer({}, 429, **headers))

        assert page["wait_seconds"] == 12

    def test_repeated_cursor_fails_the_load(self, warehouse: Settings) -> None:
        asked = pull(warehouse, "crm", contacts("a", after="2"), contacts("b", after="3"), contacts("c", after="2"))

        assert asked[2]["verdict"] == "failed"
        assert asked[2]["reason"] == "contacts page 3: its cursor repeats that of page 1"

    def test_cursor_given_back_at_once_fails_the_load(self, warehouse: Settings) -> None:
        asked = pull(warehouse, "crm", contacts("a", after="2"), contacts("b", after="2"))

        assert asked[1]["reason"] == "contacts page 2: its cursor repeats that of page 1"

    def test_repeated_page_fails_the_load(self, warehouse: Settings) -> None:
        asked = pull(warehouse, "stock", items(1, more=True), items(2, more=True), items(2, more=True))

        assert asked[2]["verdict"] == "failed"
        assert asked[2]["reason"] == "items page 3: it repeats page 2"

    def test_repeated_xml_page_fails_the_load(self, warehouse: Settings) -> None:
        asked = pull(warehouse, "stock", items(1), deliveries(1, 2), deliveries(2, 2))

        assert asked[2]["reason"] == "deliveries page 2: it repeats page 1"

    def test_empty_pages_may_stand_anywhere(self, warehouse: Settings) -> None:
        asked = pull(warehouse, "crm", contacts(after="2"), contacts(after="3"), contacts("a"))

        assert [page["verdict"] for page in asked] == ["ok"] * 3

    def test_records_at_the_end_of_one_page_and_the_start_of_the_next_are_kept(self, warehouse: Settings) -> None:
        asked = pull(warehouse, "crm", contacts("a", "b", after="2"), contacts("b", "c"))

        assert asked[1]["verdict"] == "ok"

    @pytest.mark.parametrize(
        ("body", "fault"),
        [
            (b'<deliveries page="1" pages="2"><d/><line sku=', "the answer is not whole XML"),
            (b'<deliveries page="1" pages="2">', "the answer is not whole XML"),
            (b"plain text", "the answer is not whole XML"),
            (b'<error page="1" pages="2"></error>', "the answer is <error>, expected <deliveries>"),
            (b"<deliveries></deliveries>", "<deliveries> does not say how many pages there are"),
            (b'<deliveries page="2" pages="2"></deliveries>', "page 1 was asked for, another came"),
        ],
    )
    def test_broken_xml_is_asked_again(self, warehouse: Settings, body: bytes, fault: str) -> None:
        asked = pull(warehouse, "stock", items(1), (200, {}, body, None), deliveries(1, 1))

        assert (asked[1]["verdict"], asked[1]["reason"]) == ("retry", fault)

    @pytest.mark.parametrize(
        "body",
        [
            '\ufeff<?xml version="1.0"?><!-- a -- b --><deliveries page="1" pages="1"/>'.replace(" -- b ", " b "),
            "<?xml version='1.0' encoding='ISO-8859-1'?>\n<deliveries pages='1' page='1'>é</deliveries>\n",
        ],
    )
    def test_xml_in_other_clothes_is_read(self, warehouse: Settings, body: str) -> None:
        encoded = body.encode("latin-1" if "8859" in body else "utf-8")

        asked = pull(warehouse, "stock", items(1), (200, {}, encoded, None))

        assert asked[1]["verdict"] == "ok"
        assert bytes(documents(warehouse, "inventory")[1]["content"]) == encoded

    @pytest.mark.parametrize("text", [r"a\u0000b", r"\\u0000", r"\ud83d", r"\ud83d\ude00", "\u00e9"])
    def test_legal_json_jsonb_refuses_is_kept_as_received(self, warehouse: Settings, text: str) -> None:
        body = f'\ufeff{{"results": [{{"id": "{text}", "updatedAt": "2026-05-01T10:00:00Z"}}]}}'.encode()

        (page,) = pull(warehouse, "crm", (200, {}, body, None))

        assert page["verdict"] == "ok"
        assert bytes(documents(warehouse, "crm")[0]["content"]) == body
        assert loads(warehouse, "crm")[0]["newest_record_at"] == datetime(2026, 5, 1, 10, tzinfo=UTC)

    def test_more_pages_than_allowed_fail_the_load(self, warehouse: Settings) -> None:
        change(
            warehouse,
            "update ops.source_settings set settings = jsonb_set(settings, '{api,max_pages}', '2')",
        )

        asked = pull(warehouse, "crm", contacts("a", after="2"), contacts("b", after="3"))

        assert asked[1]["reason"] == "contacts page 2: there are more pages than max_pages allows"

    def test_answer_handed_in_twice_is_stored_once(self, warehouse: Settings) -> None:
        request = next_request(warehouse, "crm")

        first = record(warehouse, request["request_id"], contacts("a", after="2"))

        assert record(warehouse, request["request_id"], contacts("a", after="2")) == first
        assert len(documents(warehouse, "crm")) == 1

    def test_request_never_answered_is_given_again(self, warehouse: Settings) -> None:
        assert next_request(warehouse, "crm") == next_request(warehouse, "crm")

    def test_pauses_between_pages_are_kept(self, warehouse: Settings) -> None:
        change(
            warehouse,
            "update ops.source_settings set settings = jsonb_set(settings, '{api,pause_seconds}', '0.5')",
        )

        (page,) = pull(warehouse, "crm", contacts("a", after="2"))

        assert page["wait_seconds"] == 0.5

    def test_source_without_api_is_refused(self, warehouse: Settings) -> None:
        with pytest.raises(psycopg2.Error, match="source shop has no API settings"):
            next_request(warehouse, "shop")


def watermark(settings: Settings) -> datetime | None:
    found = rows(settings, "select watermark from ops.watermarks where entity = 'contacts'", role="owner")
    return found[0]["watermark"] if found else None


class TestWatermark:
    def test_moves_only_when_the_load_is_received(self, warehouse: Settings) -> None:
        pull(warehouse, "crm", contacts("2026-05-01T10:00:00Z", after="2"))
        assert watermark(warehouse) is None

        pull(warehouse, "crm", contacts("2026-05-02T10:00:00Z"))
        assert watermark(warehouse) == datetime(2026, 5, 2, 10, tzinfo=UTC)

    def test_failed_load_leaves_it(self, warehouse: Settings) -> None:
        pull(warehouse, "crm", contacts("2026-05-01T10:00:00Z", after="2"), (401, {}, None, None))

        assert watermark(warehouse) is None

    def test_never_moves_back(self, warehouse: Settings) -> None:
        pull(warehouse, "crm", contacts("2026-05-05T10:00:00Z"))

        pull(warehouse, "crm", contacts("2026-05-01T10:00:00Z"), run_key="run 2")
        pull(warehouse, "crm", contacts(), run_key="run 3")

        assert watermark(warehouse) == datetime(2026, 5, 5, 10, tzinfo=UTC)

    def test_never_passes_the_start_of_the_pull(self, warehouse: Settings) -> None:
        pull(warehouse, "crm", contacts("2099-01-01T00:00:00Z"))

        found = watermark(warehouse)
        assert found is not None
        assert abs(found - loads(warehouse, "crm")[0]["started_at"]) < timedelta(seconds=1)

    @pytest.mark.parametrize("broken", ["", "yesterday", "2026-13-45T99:00:00Z", "2026-05-09T10:00:00"])
    def test_unreadable_change_times_hold_it_back(self, warehouse: Settings, broken: str) -> None:
        (page,) = pull(warehouse, "crm", contacts(broken))

        assert page["verdict"] == "ok"
        assert watermark(warehouse) is None

    def test_backfill_asks_for_its_window_and_leaves_it(self, warehouse: Settings) -> None:
        change(
            warehouse,
            "insert into ops.requested_windows values ('fill', 'orders', '2026-01-01Z', '2026-02-01Z')",
        )

        (page,) = pull(
            warehouse, "orders", json_answer({"orders": [{"updated_at": "2026-01-15T00:00:00Z"}]}), run_key="fill"
        )

        window = json.loads(page["body"])["at"]
        assert window == {"start": "2026-01-01T00:00:00.000Z", "end": "2026-02-01T00:00:00.000Z"}
        assert rows(warehouse, "select * from ops.watermarks", role="owner") == []
        assert loads(warehouse, "orders")[0]["status"] == "received"

    def test_backfill_leaves_snapshots_out(self, warehouse: Settings) -> None:
        change(
            warehouse,
            "insert into ops.requested_windows values ('fill', 'stock', '2026-01-01Z', '2026-02-01Z')",
        )

        assert next_request(warehouse, "stock", "fill")["is_done"]


class TestRunsAtOnce:
    def test_second_run_of_a_source_is_told_to_leave(self, warehouse: Settings) -> None:
        first = next_request(warehouse, "crm", "run 1")

        second = next_request(warehouse, "crm", "run 2")

        assert (second["is_done"], second["status"], second["load_id"]) == (True, "busy", first["load_id"])
        assert len(loads(warehouse, "crm")) == 1
        assert not next_request(warehouse, "stock", "run 2")["is_done"]

    def test_eight_runs_at_once_open_one_pull(self, warehouse: Settings) -> None:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda n: next_request(warehouse, "crm", f"run {n}"), range(8)))

        assert sorted(answer["status"] for answer in answers) == ["busy"] * 7 + ["open"]

    def test_silent_run_is_abandoned_and_its_late_answer_is_not_taken(self, warehouse: Settings) -> None:
        lost = next_request(warehouse, "crm", "run 1")
        change(warehouse, "update ops.loads set active_at = now() - interval '6 minutes'")

        assert next_request(warehouse, "crm", "run 2")["status"] == "open"

        late = record(warehouse, lost["request_id"], contacts("a"))
        assert late["verdict"] == "stale"
        assert [load["status"] for load in loads(warehouse, "crm")] == ["failed", "open"]
        assert loads(warehouse, "crm")[0]["reason"].startswith("abandoned: nothing was heard of it since 20")
        assert documents(warehouse, "crm") == []

    def test_sweep_fails_what_is_silent_and_nothing_else(self, warehouse: Settings) -> None:
        next_request(warehouse, "crm", "run 1")
        change(warehouse, "update ops.loads set active_at = now() - interval '16 minutes'")
        next_request(warehouse, "stock", "run 2")

        swept = row(warehouse, "select ops.fail_abandoned_loads(interval '15 minutes') as count", role="transformer")

        assert swept["count"] == 1
        assert [load["status"] for load in loads(warehouse, "crm") + loads(warehouse, "stock")] == ["failed", "open"]

    def test_end_of_a_run_fails_its_open_loads_only(self, warehouse: Settings) -> None:
        next_request(warehouse, "crm", "run 1")
        next_request(warehouse, "stock", "run 2")

        end = row(warehouse, "select * from ops.finish_run('pull', '9', 'run 1', 'done')")

        assert end["message"] == "1 of 1 loads failed: the run ended before the last page"
        assert loads(warehouse, "stock")[0]["status"] == "open"

    def test_workflow_error_is_kept_once_and_fails_the_open_loads_of_its_execution(self, warehouse: Settings) -> None:
        next_request(warehouse, "crm", "run 1")
        call = "select ops.record_workflow_error('pull', '9', 'Fetch page', 'out of memory', '{}') as id"

        assert row(warehouse, call) == row(warehouse, call)
        row(warehouse, "select ops.record_workflow_error('pull', '8', null, 'other', null) as id")

        (load,) = loads(warehouse, "crm")
        assert (load["status"], load["reason"]) == ("failed", "the workflow failed at Fetch page: out of memory")
        assert len(rows(warehouse, "select * from ops.workflow_errors", role="owner")) == 2


class TestRights:
    def test_loader_has_no_right_on_any_table(self, warehouse: Settings) -> None:
        found = row(
            warehouse,
            "select count(*) as tables, count(*) filter (where has_table_privilege('loader', c.oid,"
            " 'select, insert, update, delete, truncate, references, trigger')"
            " or has_any_column_privilege('loader', c.oid, 'select, insert, update, references')) as open"
            " from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace"
            " where n.nspname !~ '^(pg_|information_schema)' and c.relkind in ('r', 'v', 'm', 'p', 'S', 'f')",
            role="owner",
        )

        assert found["tables"] > 40
        assert found["open"] == 0

    @pytest.mark.parametrize(
        "statement",
        [
            "select * from ops.loads",
            "select * from ops.source_settings",
            "select * from raw_pos.documents",
            "insert into raw_pos.documents (document_id) values (1)",
            "insert into ops.loads (source, run_key) values ('a', 'b')",
            "update ops.loads set status = 'loaded'",
            "delete from ops.loads",
            "truncate raw_pos.documents",
            "select * from core.customers",
            "select nextval('ops.document_ids')",
            "create table ops.mine (a int)",
            "create table public.mine (a int)",
            "create temporary table mine (a int)",
            "create schema mine",
            "set role owner",
            "select ops.add_document(1, 'a', null, null, '', null, 0, '')",
            "select ops.mark_failed(1, 'x')",
            "select ops.fail_abandoned_loads(interval '0')",
        ],
    )
    def test_loader_is_refused(self, warehouse: Settings, statement: str) -> None:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            rows(warehouse, statement)

    def test_loader_may_execute_the_delivering_functions_and_no_other_of_ours(self, warehouse: Settings) -> None:
        found = rows(
            warehouse,
            "select p.proname as name from pg_proc as p inner join pg_namespace as n on n.oid = p.pronamespace"
            " where n.nspname in ('ops', 'core', 'marts', 'raw_pos', 'raw_crm', 'raw_inventory')"
            " and has_function_privilege('loader', p.oid, 'execute')",
            role="owner",
        )

        assert {function["name"] for function in found} == OWN_FUNCTIONS

    def test_functions_that_run_as_owner_fix_their_search_path(self, warehouse: Settings) -> None:
        found = rows(
            warehouse,
            "select p.proname from pg_proc as p inner join pg_namespace as n on n.oid = p.pronamespace"
            " where n.nspname = 'ops' and p.prosecdef"
            " and not coalesce(p.proconfig @> array['search_path=pg_catalog, pg_temp'], false)",
            role="owner",
        )

        assert found == []
