"""The inbox from drop to archive, and runs with a workflow played by the test, on a real PostgreSQL."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from db.connection import connect
from panpan.errors import ContractError, IngestError, UsageError
from panpan.ingest import inbox, run
from panpan.ingest.sources import known_sources, sync_source_settings
from panpan.local import n8n
from panpan.settings import Settings

Ask = Callable[..., list[tuple[Any, ...]]]

API = {
    "webhook": "crm",
    "base_url": "http://api",
    "endpoints": [
        {
            "entity": "contacts",
            "path": "/c",
            "records": "$.results",
            "updated_at": "$.results[*].at",
            "parameters": {"since": "{window_from}"},
        }
    ],
}
CONTRACTS = [
    SimpleNamespace(source="shop", system="pos", api=None),
    SimpleNamespace(source="cafe", system="pos", api=None),
    SimpleNamespace(source="crm", system="crm", api=API),
]


@pytest.fixture
def warehouse(warehouse: Settings) -> Settings:
    """With two sources of files and one API."""
    with connect(warehouse, "transformer") as connection:
        sync_source_settings(connection, CONTRACTS, warehouse)
    return warehouse


@pytest.fixture
def workflows(warehouse: Settings, monkeypatch: pytest.MonkeyPatch) -> FakeN8n:
    """n8n, played: it delivers what waits, and remembers what it was called with."""
    fake = FakeN8n(warehouse)
    monkeypatch.setattr(n8n, "trigger", fake.trigger)
    return fake


class FakeN8n:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.status_after = "loaded"

    def trigger(self, settings: Settings, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self.calls.append((path, dict(body)))
        if path == "pos-files":
            self.deliver_files(body["source"], body["run_key"])
        else:
            self.pull(body["source"], body["run_key"])
        with connect(settings, "transformer") as connection, connection.cursor() as cursor:
            cursor.execute(
                "update ops.loads set status = %s, row_count = 3 where status = 'received'", (self.status_after,)
            )
        return {"status": "done"}

    def deliver_files(self, source: str, run_key: str) -> None:
        with connect(self.settings, "loader") as connection, connection.cursor() as cursor:
            cursor.execute("select file_id, path from ops.waiting_files(%s, %s, true)", (source, run_key))
            for file_id, path in cursor.fetchall():
                content = base64.b64encode(Path(path.replace("\\", "")).read_bytes()).decode()
                cursor.execute("select * from ops.deliver_file(%s, %s, 'files', '1', %s)", (file_id, content, run_key))

    def pull(self, source: str, run_key: str) -> None:
        body = base64.b64encode(b'{"results": [{"at": "2026-05-01T00:00:00Z"}]}').decode()
        with connect(self.settings, "loader") as connection, connection.cursor() as cursor:
            cursor.execute("select request_id from ops.next_request(%s, 'crm', '1', %s)", (source, run_key))
            for (request_id,) in cursor.fetchall():
                cursor.execute("select * from ops.record_answer(%s, 200, '{}', %s, null)", (request_id, body))


def put(settings: Settings, name: str, content: bytes, source: str = "shop", age: float = 10) -> Path:
    file = settings.inbox / source / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    os.utime(file, (time.time() - age, time.time() - age))
    return file


def scan(settings: Settings, **how: Any) -> inbox.Scan:
    with connect(settings, "transformer") as connection:
        return inbox.scan(connection, settings, **how)


def archive(settings: Settings) -> list[inbox.Archived]:
    with connect(settings, "transformer") as connection:
        return inbox.archive_taken(connection, settings)


def take(settings: Settings, *, large: bool = False) -> None:
    """What n8n does with everything that waits."""
    with connect(settings, "loader") as connection, connection.cursor() as cursor:
        cursor.execute("select file_id, path from ops.waiting_files(null, 'run')")
        for file_id, path in cursor.fetchall():
            if large:
                cursor.execute("select * from ops.register_file(%s, 'files', '1', 'run')", (file_id,))
            else:
                content = base64.b64encode(Path(path.replace("\\", "")).read_bytes()).decode()
                cursor.execute("select * from ops.deliver_file(%s, %s, 'files', '1', 'run')", (file_id, content))


class TestDrop:
    def test_file_appears_whole_with_its_own_time(self, warehouse: Settings, tmp_path: Path) -> None:
        file = tmp_path / "a.csv"
        file.write_bytes(b"content")
        os.utime(file, (1_700_000_000, 1_700_000_000))

        dropped = inbox.drop(warehouse, file, "shop")

        assert dropped == warehouse.inbox / "shop" / "a.csv"
        assert dropped.read_bytes() == b"content"
        assert dropped.stat().st_mtime == 1_700_000_000
        assert [each.name for each in dropped.parent.iterdir()] == ["a.csv"]

    def test_other_content_of_a_waiting_name_gets_a_number_and_the_same_content_none(
        self, warehouse: Settings, tmp_path: Path
    ) -> None:
        file = tmp_path / "a.csv"
        names = []
        for content in (b"1", b"2", b"1", b"3"):
            file.write_bytes(content)
            names.append(inbox.drop(warehouse, file, "shop").name)

        assert names == ["a.csv", "a-2.csv", "a.csv", "a-3.csv"]

    @pytest.mark.parametrize(("name", "cause"), [("none.csv", "no such file"), (".", "it is a folder")])
    def test_missing_file_is_refused(self, warehouse: Settings, tmp_path: Path, name: str, cause: str) -> None:
        with pytest.raises(IngestError) as caught:
            inbox.drop(warehouse, tmp_path / name, "shop")

        assert cause in str(caught.value.cause)
        assert caught.value.next

    @pytest.mark.parametrize("name", [".hidden.csv", "half.part"])
    def test_name_that_means_unfinished_is_refused(self, warehouse: Settings, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_bytes(b"x")

        with pytest.raises(IngestError, match="would be ignored"):
            inbox.drop(warehouse, tmp_path / name, "shop")


class TestScan:
    def test_file_is_registered_once_with_size_and_sha256(self, warehouse: Settings, ask: Ask) -> None:
        put(warehouse, "españa (1).csv", b"content")

        first, second = scan(warehouse), scan(warehouse)

        assert first.waiting == second.waiting
        ((source, path, byte_count, sha256, state),) = ask(
            "select source, path, byte_count, sha256, state from ops.inbox_files"
        )
        assert (source, path, byte_count, state) == ("shop", "inbox/shop/españa (1).csv", 7, "waiting")
        assert bytes(sha256) == hashlib.sha256(b"content").digest()

    def test_unfinished_and_fresh_files_are_left_alone(self, warehouse: Settings) -> None:
        put(warehouse, ".a.csv.part", b"x")
        put(warehouse, ".DS_Store", b"x")
        put(warehouse, "b.part", b"x")
        put(warehouse, "fresh.csv", b"x", age=0)

        assert scan(warehouse) == inbox.Scan([], [])
        assert [file.path.name for file in scan(warehouse, stable_seconds=0).waiting] == ["fresh.csv"]

    def test_what_cannot_be_taken_is_reported(self, warehouse: Settings) -> None:
        put(warehouse, "a.csv", b"x", source="unknown")
        put(warehouse, "a.csv", b"x", source="crm")
        (warehouse.inbox / "loose.csv").write_bytes(b"x")
        (warehouse.inbox / "shop" / "folder").mkdir(parents=True)
        (warehouse.inbox / "shop" / "link.csv").symlink_to("/etc/hostname")

        found = scan(warehouse)

        assert found.waiting == []
        assert [(path.name, reason) for path, reason in found.refused] == [
            ("crm", "folder of no known source"),
            ("loose.csv", "file outside any source's folder"),
            ("folder", "no regular file"),
            ("link.csv", "no regular file"),
            ("unknown", "folder of no known source"),
        ]

    def test_changed_file_is_registered_anew_and_a_removed_one_forgotten(self, warehouse: Settings, ask: Ask) -> None:
        put(warehouse, "a.csv", b"1")
        gone = put(warehouse, "b.csv", b"2")
        scan(warehouse)
        put(warehouse, "a.csv", b"11", age=5)
        gone.unlink()

        assert [file.path.name for file in scan(warehouse).waiting] == ["a.csv"]
        assert ask("select name, byte_count, state from ops.inbox_files order by file_id") == [
            ("a.csv", 1, "gone"),
            ("b.csv", 1, "gone"),
            ("a.csv", 2, "waiting"),
        ]

    def test_taken_file_is_not_registered_again_before_it_is_archived(self, warehouse: Settings) -> None:
        put(warehouse, "a.csv", b"1")
        scan(warehouse)
        take(warehouse)

        assert scan(warehouse).waiting == []

    def test_no_inbox_is_an_empty_one(self, warehouse: Settings) -> None:
        assert scan(warehouse) == inbox.Scan([], [])


class TestArchive:
    def test_taken_file_moves_and_a_second_run_changes_nothing(self, warehouse: Settings) -> None:
        file = put(warehouse, "a.csv", b"1")
        scan(warehouse)
        take(warehouse)

        (moved,) = archive(warehouse)

        sha256 = hashlib.sha256(b"1").hexdigest()
        assert moved.path == warehouse.archive / "shop" / f"{sha256}-a.csv"
        assert moved.path.read_bytes() == b"1"
        assert not file.exists()
        assert archive(warehouse) == []

    def test_large_document_is_found_by_its_stored_path(self, warehouse: Settings, ask: Ask) -> None:
        put(warehouse, "big.csv", b"1")
        scan(warehouse)
        take(warehouse, large=True)
        ((stored,),) = ask("select stored_path from raw_pos.documents")
        with pytest.raises(IngestError, match="is missing"):
            inbox.stored_file(warehouse, stored)

        archive(warehouse)

        assert inbox.stored_file(warehouse, stored).read_bytes() == b"1"

    def test_file_replaced_before_it_was_archived_stays_and_fails_the_large_load(
        self, warehouse: Settings, ask: Ask
    ) -> None:
        put(warehouse, "big.csv", b"first")
        scan(warehouse)
        take(warehouse, large=True)
        put(warehouse, "big.csv", b"second", age=5)

        (moved,) = archive(warehouse)

        assert moved.path is None
        assert ask("select status, reason from ops.loads") == [
            ("failed", "big.csv changed or was removed before it could be archived")
        ]
        assert [file.path.read_bytes() for file in scan(warehouse).waiting] == [b"second"]

    def test_file_replaced_after_its_content_was_delivered_stays_and_the_load_is_well(
        self, warehouse: Settings, ask: Ask
    ) -> None:
        put(warehouse, "a.csv", b"first")
        scan(warehouse)
        take(warehouse)
        put(warehouse, "a.csv", b"second", age=5)

        archive(warehouse)

        assert ask("select status from ops.loads") == [("received",)]
        assert [file.path.read_bytes() for file in scan(warehouse).waiting] == [b"second"]

    def test_removed_large_file_fails_its_load(self, warehouse: Settings, ask: Ask) -> None:
        file = put(warehouse, "big.csv", b"1")
        scan(warehouse)
        take(warehouse, large=True)
        file.unlink()

        archive(warehouse)

        assert ask("select status from ops.loads") == [("failed",)]

    @pytest.mark.parametrize("state", ["passing", "moved"])
    def test_kill_in_between_is_made_good(self, warehouse: Settings, ask: Ask, state: str) -> None:
        file = put(warehouse, "big.csv", b"1")
        scan(warehouse)
        take(warehouse, large=True)
        ((file_id, stored),) = ask("select file_id, stored_path from ops.inbox_files, raw_pos.documents")
        target = warehouse.home / stored
        target.parent.mkdir(parents=True)
        file.rename(target if state == "moved" else target.parent / f".taking-{file_id}")
        put(warehouse, "big.csv", b"newer", age=5)

        archive(warehouse)

        assert inbox.stored_file(warehouse, stored).read_bytes() == b"1"
        assert ask("select status from ops.loads") == [("received",)]
        assert file.read_bytes() == b"newer"
        assert [each.name for each in target.parent.iterdir()] == [target.name]

    def test_duplicate_leaves_the_inbox_too(self, warehouse: Settings) -> None:
        put(warehouse, "a.csv", b"1")
        put(warehouse, "b.csv", b"1")
        scan(warehouse)
        take(warehouse)

        archive(warehouse)

        assert list((warehouse.inbox / "shop").iterdir()) == []

    def test_long_names_are_shortened_at_the_front(self, warehouse: Settings) -> None:
        put(warehouse, "é" * 120 + ".csv", b"1")
        scan(warehouse)
        take(warehouse)

        (moved,) = archive(warehouse)

        assert moved.path is not None
        assert moved.path.name.endswith("é.csv")


class TestSettings:
    def test_second_sync_changes_nothing_and_a_contract_gone_retires_its_source(
        self, warehouse: Settings, ask: Ask
    ) -> None:
        before = ask("select * from ops.source_settings order by source")
        with connect(warehouse, "transformer") as connection:
            sync_source_settings(connection, CONTRACTS, warehouse)
        assert ask("select * from ops.source_settings order by source") == before

        with connect(warehouse, "transformer") as connection:
            sync_source_settings(connection, CONTRACTS[:1], warehouse)
            assert list(known_sources(connection)) == ["shop"]

    def test_path_the_server_cannot_read_is_refused(self, warehouse: Settings) -> None:
        endpoint = {**API["endpoints"][0], "records": "$.results["}  # type: ignore[dict-item]
        wrong = SimpleNamespace(source="crm", system="crm", api={**API, "endpoints": [endpoint]})

        with (
            pytest.raises(ContractError) as caught,
            connect(warehouse, "transformer") as connection,
        ):
            sync_source_settings(connection, [wrong], warehouse)

        assert "'$.results[' is no JSON path" in str(caught.value.cause)


class TestRun:
    def test_dropped_files_are_loaded_and_reported_apart_from_others(
        self, warehouse: Settings, workflows: FakeN8n, tmp_path: Path
    ) -> None:
        put(warehouse, "other.csv", b"other")
        (tmp_path / "a.csv").write_bytes(b"1")
        dropped = inbox.drop(warehouse, tmp_path / "a.csv", "shop")

        (report,) = run.run_source(warehouse, "shop", files=[dropped])

        assert (report.status, report.rows, report.file, report.execution_id) == ("loaded", 3, "a.csv", "1")
        assert list((warehouse.inbox / "shop").iterdir()) == []
        assert [path for path, _ in workflows.calls] == ["pos-files"]

    def test_second_drop_is_reported_as_duplicate(
        self, warehouse: Settings, workflows: FakeN8n, tmp_path: Path
    ) -> None:
        (tmp_path / "a.csv").write_bytes(b"1")
        reports = []
        for _ in range(2):
            dropped = inbox.drop(warehouse, tmp_path / "a.csv", "shop")
            reports += run.run_source(warehouse, "shop", files=[dropped])

        assert [report.status for report in reports] == ["loaded", "duplicate"]
        assert not any(report.is_bad for report in reports)

    def test_workflow_is_called_until_nothing_waits(self, warehouse: Settings, workflows: FakeN8n) -> None:
        for number in range(250):
            put(warehouse, f"{number}.csv", str(number).encode())

        reports = run.run_source(warehouse, "shop")

        assert len(reports) == 250
        assert len(workflows.calls) == 2
        assert len({body["run_key"] for _, body in workflows.calls}) == 1

    def test_nothing_waiting_gives_no_report_and_no_call(self, warehouse: Settings, workflows: FakeN8n) -> None:
        assert run.run_source(warehouse, "shop") == []
        assert workflows.calls == []

    def test_workflow_that_takes_nothing_is_an_error_and_no_endless_loop(
        self, warehouse: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(n8n, "trigger", lambda *_: {})
        put(warehouse, "a.csv", b"1")

        with pytest.raises(IngestError, match="n8n took none of 1 waiting files of shop"):
            run.run_source(warehouse, "shop")

    def test_api_is_pulled_by_its_webhook(self, warehouse: Settings, workflows: FakeN8n) -> None:
        (report,) = run.run_source(warehouse, "crm", run_key="mine")

        assert (report.status, report.entity, report.file) == ("loaded", "contacts", None)
        assert workflows.calls == [("crm", {"run_key": "mine", "source": "crm"})]

    def test_busy_source_is_an_error_naming_what_to_do(
        self, warehouse: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(n8n, "trigger", lambda *_: {"status": "busy"})

        with pytest.raises(IngestError, match="another run of crm is under way") as caught:
            run.run_source(warehouse, "crm")

        assert caught.value.next

    def test_worker_that_never_comes_is_an_error_and_no_wait_stops_before_it(
        self, warehouse: Settings, workflows: FakeN8n
    ) -> None:
        workflows.status_after = "received"
        impatient = warehouse.model_copy(update={"ingest_timeout_seconds": 1})

        with pytest.raises(IngestError, match="took longer than 1 seconds"):
            run.run_source(impatient, "crm")

        assert run.run_source(impatient, "crm", wait=False)[0].status == "received"

    def test_unknown_source_is_wrong_use_naming_the_known_ones(self, warehouse: Settings) -> None:
        with pytest.raises(UsageError) as caught:
            run.run_source(warehouse, "shoop")

        assert caught.value.cause == "known sources: cafe, crm, shop"

    def test_backfill_asks_for_its_window(self, warehouse: Settings, workflows: FakeN8n, ask: Ask) -> None:
        window = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)

        (report,) = run.backfill(warehouse, "crm", *window)

        assert ask("select window_from, window_to from ops.loads") == [window]
        assert ask("select count(*) from ops.watermarks") == [(0,)]
        assert report.status == "loaded"

    def test_backfill_of_files_says_what_to_do_instead(self, warehouse: Settings) -> None:
        with pytest.raises(UsageError) as caught:
            run.backfill(warehouse, "shop", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))

        assert "ingest drop FILE --source shop" in str(caught.value.next)

    def test_status_tells_age_last_record_and_what_waits(self, warehouse: Settings, workflows: FakeN8n) -> None:
        run.run_source(warehouse, "crm")
        put(warehouse, "a.csv", b"1")
        scan(warehouse)

        states = {state.source: state for state in run.source_status(warehouse)}

        assert states["crm"].last_record_at == datetime(2026, 5, 1, tzinfo=UTC)
        assert states["crm"].last_status == "loaded"
        assert states["crm"].age_seconds is not None
        assert timedelta(seconds=states["crm"].age_seconds) < timedelta(minutes=1)
        assert (states["shop"].waiting_files, states["shop"].last_load_id) == (1, None)
        assert states["cafe"].waiting_files == 0
