"""
The workflows in the real n8n, against simulated systems whose faults the test switches.

Loads are followed until they are received; the worker is not needed here.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import signal
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import requests
import uvicorn
from psycopg2.extras import Json

from db.connection import connect
from panpan.errors import IngestError
from panpan.ingest import inbox, run
from panpan.ingest.sources import sync_source_settings
from panpan.local import n8n, postgres, stack
from panpan.local.initialise import initialise
from panpan.settings import Settings
from panpan.simulate.faults import Faults
from panpan.simulate.server import build_app, tokens_of
from panpan.simulate.world import World
from transforms.contract import load_contracts

pytestmark = pytest.mark.servers

MEGABYTE = 2**20


@dataclass
class House:
    """A home with PostgreSQL and n8n, and simulated systems in this process."""

    settings: Settings
    faults: Faults

    def ask(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with connect(self.settings, "owner") as connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall()) if cursor.description else []

    def load(self, source: str) -> list[run.LoadReport]:
        return run.run_source(self.settings, source, wait=False)

    def drop(self, folder: Path, files: dict[str, bytes]) -> list[run.LoadReport]:
        dropped = []
        for name, content in files.items():
            (folder / name).write_bytes(content)
            dropped.append(inbox.drop(self.settings, folder / name, "square_items"))
        return run.run_source(self.settings, "square_items", files=dropped, wait=False)

    def verdicts(self, reports: Sequence[run.LoadReport]) -> list[tuple[Any, ...]]:
        return self.ask(
            "select page, attempt, http_status, verdict from ops.load_requests"
            " where load_id = any (%s) order by request_id",
            [report.load_id for report in reports],
        )


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    folder = Path(tempfile.mkdtemp(prefix="panpan-test-"))
    folder.chmod(0o755)
    settings = initialise(folder / "home", simulated=True)
    faults = Faults(slow_seconds=3)
    world = World(until=date(2025, 10, 10))  # some days are enough: a page or two of everything
    app = build_app(world, tokens_of(settings), faults)
    server = uvicorn.Server(uvicorn.Config(app, port=settings.simulate_port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        stack.up(settings, only={"postgres", "n8n"})
        yield House(settings, faults)
    finally:
        server.should_exit = True
        thread.join(10)
        stack.down(settings)
        postgres.destroy(settings)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def well(house: House) -> None:
    """All faults off, short waits between attempts."""
    for fault in house.faults.listing():
        house.faults.switch(fault["name"], on=False)
    with connect(house.settings, "transformer") as connection:
        sync_source_settings(connection, load_contracts().values(), house.settings)
    set_api(house, "crm", retry_base_seconds=0.1)
    set_api(house, "pos_api", retry_base_seconds=0.1)
    set_api(house, "inventory", retry_base_seconds=0.1)


def set_api(house: House, source: str, **values: Any) -> None:
    house.ask(
        "update ops.source_settings set settings = jsonb_set(settings, '{api}', settings -> 'api' || %s)"
        " where source = %s",
        Json(values),
        source,
    )


def memory_peak(house: House) -> int:
    """The most n8n's main process ever held, in bytes."""
    process = n8n.daemon(house.settings).process()
    assert process is not None
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


def test_every_source_is_pulled_and_a_second_pull_asks_for_what_changed(house: House) -> None:
    for source, entities in {
        "crm": ["contacts", "contacts"],
        "pos_api": ["orders"],
        "inventory": ["items", "levels", "movements", "deliveries"],
    }.items():
        first, second = house.load(source), house.load(source)

        assert [(load.status, load.entity) for load in first] == [("received", name) for name in entities]
        assert [load.status for load in second] == ["received"] * len(entities)
    windows = house.ask("select entity, bool_or(window_from is not null) from ops.loads group by entity")
    assert dict(windows) == {
        "contacts": True,
        "orders": True,
        "movements": True,
        "items": False,
        "levels": False,
        "deliveries": False,
    }
    for system in ("pos", "crm", "inventory"):
        query = f"select bool_and(sha256(content) = sha256) from raw_{system}.documents"  # noqa: S608  # our schemas
        assert house.ask(query) == [(True,)]


def test_pages_are_stored_as_the_source_sent_them(house: House) -> None:
    (report, *_) = house.load("inventory")

    ((name, content),) = house.ask(
        "select name, content from raw_inventory.documents where load_id = %s", report.load_id
    )

    address = f"http://127.0.0.1:{house.settings.simulate_port}/inventory{name.split()[1]}"
    token = house.settings.inventory_token.get_secret_value()
    answer = requests.get(address, headers={"Authorization": f"Bearer {token}"}, timeout=10)
    assert bytes(content) == answer.content


def test_file_of_14_megabytes_arrives_byte_for_byte(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = secrets.token_bytes(14_000_000)

    begun = time.monotonic()
    (report,) = house.drop(tmp_path, {"large.bin": content})

    ((stored, sha256),) = house.ask("select content, sha256 from raw_pos.documents where load_id = %s", report.load_id)
    assert bytes(stored) == content
    assert bytes(sha256) == hashlib.sha256(content).digest()
    with capsys.disabled():
        peak = memory_peak(house) / MEGABYTE
        print(f"\n14 MB file: {time.monotonic() - begun:.1f} s; n8n's peak memory {peak:.0f} MB")  # noqa: T201
    assert peak < 1500


def test_sixteen_files_of_a_megabyte_go_in_one_call(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reports = house.drop(tmp_path, {f"{n}.bin": secrets.token_bytes(MEGABYTE) for n in range(16)})

    assert [report.status for report in reports] == ["received"] * 16
    assert len({report.execution_id for report in reports}) == 1
    with capsys.disabled():
        print(f"\n16 files of 1 MiB: n8n's peak memory {memory_peak(house) / MEGABYTE:.0f} MB")  # noqa: T201


def test_file_above_the_limit_is_registered_and_kept_in_the_archive(house: House, tmp_path: Path) -> None:
    content = secrets.token_bytes(house.settings.inline_bytes + 1)

    (report,) = house.drop(tmp_path, {"huge.bin": content})

    ((stored_path, in_database),) = house.ask(
        "select stored_path, content from raw_pos.documents where load_id = %s", report.load_id
    )
    assert in_database is None
    assert inbox.stored_file(house.settings, stored_path).read_bytes() == content


def test_names_are_taken_literally_and_known_content_is_a_duplicate(house: House, tmp_path: Path) -> None:
    names = [
        "ventas (1).csv",
        "a[1].csv",
        "{b,c}.csv",
        "*.csv",
        "qu?.csv",
        "+(a|b).csv",
        "café $1 'ñ\".csv",
        "b\\c.csv",
    ]
    files = {name: f"{name} {uuid.uuid4()}".encode() for name in names}

    reports = house.drop(tmp_path, {**files, "again.csv": files["*.csv"], "empty.csv": b""})

    assert {report.file: report.status for report in reports} == {
        **dict.fromkeys(names, "received"),
        "again.csv": "duplicate",
        "empty.csv": "received",
    }
    for name, content in files.items():
        ((stored,),) = house.ask("select content from raw_pos.documents where name = %s", name)
        assert bytes(stored) == content


def test_429_with_retry_after_is_waited_for(house: House) -> None:
    house.faults.switch("crm_rate_limited", times=2)

    reports = house.load("crm")

    assert [report.status for report in reports] == ["received", "received"]
    assert house.verdicts(reports)[:3] == [(1, 1, 429, "retry"), (1, 2, 429, "retry"), (1, 3, 200, "ok")]
    waits = house.ask(
        "select extract(epoch from lead(sent_at) over (order by request_id) - answered_at)::float8"
        " from ops.load_requests where load_id = %s order by request_id limit 2",
        reports[0].load_id,
    )
    assert all(1.0 <= wait < 3 for (wait,) in waits)


@pytest.mark.parametrize(
    ("source", "fault", "status"),
    [
        ("inventory", "inventory_500", 500),
        ("inventory", "inventory_code_error", 200),
        ("inventory", "inventory_truncated_json", 200),
        ("crm", "crm_rate_limited_silent", 429),
        ("crm", "crm_html", 200),
        ("crm", "crm_down", None),
        ("pos_api", "pos_api_502_html", 502),
        ("pos_api", "pos_api_rate_limited", 429),
    ],
)
def test_passing_fault_heals(house: House, source: str, fault: str, status: int | None) -> None:
    house.faults.switch(fault, times=1)

    reports = house.load(source)

    assert {report.status for report in reports} == {"received"}
    assert house.verdicts(reports)[:2] == [(1, 1, status, "retry"), (1, 2, 200, "ok")]


def test_broken_xml_heals(house: House) -> None:
    house.faults.switch("inventory_broken_xml", times=1)

    reports = house.load("inventory")

    assert [report.status for report in reports] == ["received"] * 4
    assert [verdict[3] for verdict in house.verdicts(reports[3:])].count("retry") == 1


def test_token_no_longer_accepted_fails_with_a_sentence(house: House) -> None:
    house.faults.switch("pos_api_wrong_token")

    (report,) = house.load("pos_api")

    assert report.status == "failed"
    assert str(report.reason).startswith("orders page 1: the source answered 401 (the token is not accepted)")


def test_failing_endpoint_is_given_up_and_the_others_go_on(house: House) -> None:
    house.faults.switch("inventory_500", times=5)

    reports = house.load("inventory")

    assert [(report.entity, report.status) for report in reports] == [
        ("items", "failed"),
        ("levels", "received"),
        ("movements", "received"),
        ("deliveries", "received"),
    ]
    assert str(reports[0].reason).endswith("(attempt 5, the last)")


def test_source_that_is_down_fails_its_loads_and_tells_the_error_workflow(house: House) -> None:
    set_api(house, "crm", base_url="http://127.0.0.1:9", max_attempts=2)
    house.ask("delete from ops.workflow_errors")

    reports = house.load("crm")

    assert [report.status for report in reports] == ["failed", "failed"]
    assert "contacts page 1: no answer from http://127.0.0.1:9" in str(reports[0].reason)
    assert str(reports[0].reason).endswith("(attempt 2, the last)")
    errors: list[tuple[Any, ...]] = []
    deadline = time.monotonic() + 15
    while not errors and time.monotonic() < deadline:
        time.sleep(0.2)
        errors = house.ask("select workflow, execution_id, node, message from ops.workflow_errors")
    ((workflow, execution_id, node, message),) = errors
    assert (workflow, node) == ("crm_contacts_to_raw", "Report the failure")
    assert execution_id == reports[0].execution_id
    assert message.startswith("2 of 2 loads failed: contacts page 1: no answer")
    assert {report.status for report in house.load("inventory")} == {"received"}


def test_two_runs_of_a_source_at_once_pull_it_once(house: House) -> None:
    house.faults.switch("inventory_slow", times=1)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(house.load, "inventory")
        time.sleep(1)
        second = pool.submit(house.load, "inventory")

    assert [report.status for report in first.result()] == ["received"] * 4
    with pytest.raises(IngestError, match="another run of inventory is under way"):
        second.result()


def test_webhook_wants_the_token(house: House) -> None:
    url = f"{n8n.base_url(house.settings)}/webhook/crm"

    assert requests.post(url, json={}, timeout=10).status_code == 403
    wrong = {n8n.TOKEN_HEADER: "wrong"}
    assert requests.post(url, json={}, headers=wrong, timeout=10).status_code == 403


def test_run_without_a_key_gives_itself_one(house: House) -> None:
    answer = n8n.trigger(house.settings, "crm", {})

    assert (answer["status"], answer["failed_loads"]) == ("done", 0)
    assert uuid.UUID(answer["report"]["run_key"])
    assert [load["status"] for load in answer["report"]["loads"]] == ["received", "received"]


def test_run_without_waiting_files_answers_with_one_report(house: House) -> None:
    answer = n8n.trigger(house.settings, "pos-files", {"run_key": "empty"})

    assert answer["report"] == {"run_key": "empty", "status": "done", "loads": []}


def test_pull_of_a_killed_n8n_has_failed_and_is_pulled_again(house: House) -> None:
    set_api(house, "inventory", abandon_after_seconds=1)
    house.faults.switch("inventory_slow", times=1)
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(house.load, "inventory")
        # Into the middle of the slow request, however long this machine takes to get there.
        deadline = time.monotonic() + 60
        while not house.ask("select load_id from ops.loads where status = 'open'") and time.monotonic() < deadline:
            time.sleep(0.1)
        process = n8n.daemon(house.settings).process()
        assert process is not None
        process.send_signal(signal.SIGKILL)
        (open_load,) = house.ask("select load_id from ops.loads where status = 'open'")
        assert lost.exception() is not None or lost.result()[0].status == "open"

    n8n.start(house.settings)
    reports = house.load("inventory")

    assert [report.status for report in reports] == ["received"] * 4
    ((status, reason),) = house.ask("select status, reason from ops.loads where load_id = %s", open_load[0])
    assert status == "failed"
    # whoever is first: n8n, which finds the broken execution when it starts, or the next run
    assert reason.startswith(("the workflow failed at", "abandoned: nothing was heard of it since"))
