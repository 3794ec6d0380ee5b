"""The ingest commands as people and programs meet them; n8n is played, the database is real."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from db.connection import connect
from panpan.cli.app import assembled
from panpan.errors import IngestError, PanpanError, UsageError
from panpan.local import n8n
from panpan.settings import Settings

app = assembled()

Ask = Callable[..., list[tuple[Any, ...]]]
Run = Callable[..., tuple[int, str]]

LOAD_KEYS = {"load_id", "status", "rows", "execution_id", "file", "entity", "reason"}


@pytest.fixture
def panpan(warehouse: Settings) -> Run:
    """Runs a command in this test's home; gives exit code and stdout. Errors of ours are raised."""

    def run(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["ingest", *words, "--home", str(warehouse.home)])
        if isinstance(result.exception, PanpanError):
            raise result.exception
        return result.exit_code, result.stdout

    return run


@pytest.fixture
def delivering(warehouse: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """n8n and a worker that load everything at once; what says 'bad' is refused."""

    def trigger(settings: Settings, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        with connect(settings, "loader") as connection, connection.cursor() as cursor:
            cursor.execute("select file_id, path from ops.waiting_files(%s, %s)", (body["source"], body["run_key"]))
            for file_id, file in cursor.fetchall():
                content = base64.b64encode(Path(file).read_bytes()).decode()
                cursor.execute(
                    "select * from ops.deliver_file(%s, %s, 'files', '12', %s)",
                    (file_id, content, body["run_key"]),
                )
        with connect(settings, "transformer") as connection, connection.cursor() as cursor:
            cursor.execute(
                "update ops.loads set status = case when file_name like 'bad%' then 'refused' else 'loaded' end,"
                " reason = case when file_name like 'bad%' then 'no header' end, row_count = 2"
                " where status = 'received'"
            )
        return {"status": "done"}

    monkeypatch.setattr(n8n, "trigger", trigger)


def write(folder: Path, name: str, content: bytes = b"a,b\n1,2\n") -> str:
    (folder / name).write_bytes(content)
    return str(folder / name)


@pytest.mark.usefixtures("delivering")
class TestDrop:
    def test_json_says_what_became_of_each_load(self, panpan: Run, tmp_path: Path) -> None:
        file = write(tmp_path, "items.csv")

        code, said = panpan("drop", file, "--source", "square_items", "--json")

        answer = json.loads(said)
        assert (code, answer["ok"], answer["source"]) == (0, True, "square_items")
        (load,) = answer["loads"]
        assert set(load) >= LOAD_KEYS
        assert (load["status"], load["rows"], load["file"], load["execution_id"]) == ("loaded", 2, "items.csv", "12")

    def test_second_drop_is_already_loaded(self, panpan: Run, tmp_path: Path) -> None:
        file = write(tmp_path, "items.csv")
        panpan("drop", file, "--source", "square_items")

        code, said = panpan("drop", file, "--source", "square_items")

        assert code == 0
        assert "items.csv: already loaded, 0 rows" in said

    def test_refused_file_gives_exit_code_1_and_the_reason(self, panpan: Run, tmp_path: Path) -> None:
        files = write(tmp_path, "good.csv"), write(tmp_path, "bad.csv", b"x")

        code, said = panpan("drop", *files, "--source", "square_items", "--json")

        answer = json.loads(said)
        assert (code, answer["ok"]) == (1, False)
        assert {load["file"]: load["status"] for load in answer["loads"]} == {
            "good.csv": "loaded",
            "bad.csv": "refused",
        }

    def test_missing_file_hands_nothing_over(self, panpan: Run, tmp_path: Path, ask: Ask) -> None:
        with pytest.raises(IngestError) as caught:
            panpan("drop", write(tmp_path, "a.csv"), str(tmp_path / "no.csv"), "--source", "square_items")

        assert (caught.value.exit_code, caught.value.cause) == (1, "there is no such file")
        assert caught.value.next
        assert ask("select * from ops.inbox_files") == []

    def test_unknown_source_is_wrong_use(self, panpan: Run, tmp_path: Path) -> None:
        with pytest.raises(UsageError) as caught:
            panpan("drop", write(tmp_path, "a.csv"), "--source", "squaer_items")

        assert caught.value.exit_code == 2
        assert "square_items" in str(caught.value.cause)

    def test_api_takes_no_files(self, panpan: Run, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="crm takes no files"):
            panpan("drop", write(tmp_path, "a.csv"), "--source", "crm")


@pytest.mark.usefixtures("delivering")
def test_run_without_waiting_files_says_so(panpan: Run) -> None:
    assert panpan("run", "square_items") == (0, "nothing waits for square_items\n")
    assert json.loads(panpan("run", "square_items", "--json")[1]) == {
        "ok": True,
        "source": "square_items",
        "loads": [],
    }


@pytest.mark.usefixtures("delivering")
def test_status_lists_every_source_and_what_cannot_be_taken(panpan: Run, warehouse: Settings, tmp_path: Path) -> None:
    panpan("drop", write(tmp_path, "items.csv"), "--source", "square_items")
    (warehouse.inbox / "nobody").mkdir(parents=True)

    code, said = panpan("status", "--json")

    answer = json.loads(said)
    states = {state["source"]: state for state in answer["sources"]}
    assert code == 0
    assert {"square_items", "crm", "inventory", "pos_api"} <= set(states)
    assert states["square_items"]["last_status"] == "loaded"
    assert states["crm"]["last_load_id"] is None
    assert [Path(entry["path"]).name for entry in answer["refused"]] == ["nobody"]
    assert "never loaded" in panpan("status")[1]


def test_backfill_of_files_is_wrong_use_with_the_way_to_go(panpan: Run) -> None:
    with pytest.raises(UsageError) as caught:
        panpan("backfill", "square_items", "2026-05-01", "2026-06-01")

    assert "ingest drop FILE --source square_items" in str(caught.value.next)


@pytest.mark.parametrize(
    ("window", "message"),
    [(("2026-06-01", "2026-05-01"), "is empty"), (("last week", "2026-05-01"), "FROM is 'last week'")],
)
def test_wrong_window_is_wrong_use(panpan: Run, window: tuple[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        panpan("backfill", "crm", *window)


@pytest.mark.parametrize("command", ["drop", "run", "backfill", "status"])
def test_help_has_an_example(command: str) -> None:
    result = CliRunner().invoke(app, ["ingest", command, "--help"])

    assert result.exit_code == 0
    assert f"panpan ingest {command}" in " ".join(result.stdout.replace("│", " ").split())
