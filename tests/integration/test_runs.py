"""The run log: every run tells what it took, how it went and what it changed, whatever was done afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from panpan.cli.app import assembled
from panpan.errors import UsageError
from panpan.settings import Settings
from transforms.contract import SHIPPED, load_contracts
from transforms.matching.decisions import merge_customers
from transforms.rebuild import rebuild
from transforms.rejects import receive_again
from transforms.run import run
from transforms.run_log import Change, Status, compare_runs, find_run, runs
from transforms.versions import rule_version

Ask = Callable[..., list[tuple[Any, ...]]]
Load = Callable[..., int]

CAFE = "Transaction ID,Item,Quantity,Price Per Unit,Total Spent,Payment Method,Location,Transaction Date\n"
TEA = "T1,Tea,1,2.00,2.00,Cash,Takeaway,2026-03-01\n"
CAKE = "T2,Cake,2,3.00,6.00,Cash,Takeaway,2026-03-01\n"
TILL = "Transaction ID,Event Type,Date,Time,Location,SKU,Item,Qty,Gross Sales,Discounts,Net Sales,Tax,Payment ID"


@pytest.fixture
def load(warehouse: Settings, deliver: Any) -> Load:
    """Delivers a document and runs the transforms; gives its load_id."""

    def put(source: str, content: bytes | str) -> int:
        load_id = deliver(source, content)
        run(warehouse)
        return int(load_id)

    return put


@pytest.fixture
def typed(warehouse: Settings) -> Callable[..., str]:
    """What `panpan runs ...` prints; its error is raised."""

    def call(*words: str) -> str:
        result = CliRunner().invoke(assembled("runs"), ["runs", *words, "--home", str(warehouse.home)])
        if result.exception is not None:
            raise result.exception
        return result.stdout

    return call


def of_table(changes: list[Change], table: str) -> list[tuple[str, str, int]]:
    return [(each.action, each.cause, each.versions) for each in changes if each.table == table]


def test_a_good_load_tells_its_file_its_rows_and_every_version_it_opened(
    warehouse: Settings, load: Load, ask: Ask
) -> None:
    load_id = load("dirty_cafe", CAFE + TEA + CAKE)
    ask("update ops.loads set workflow = 'w', execution_id = '17', started_at = received_at - interval '2 seconds'")

    record = find_run(warehouse, 1)

    assert (record.run.step, record.run.source, record.run.status) == ("load", "dirty_cafe", "done")
    assert (record.run.loads, record.run.rows, record.run.rejects, record.run.reason) == (1, 2, 0, None)
    assert record.run.rule_version == rule_version(load_contracts()["dirty_cafe"])
    assert record.run.seconds is not None and record.run.seconds > 0
    [taken] = record.loads
    assert (taken["load_id"], taken["file"], taken["documents"], taken["records"]) == (load_id, "made by a test", 1, 2)
    assert (taken["workflow"], taken["execution_id"], taken["status"]) == ("w", "17", "loaded")
    assert taken["seconds_arriving"] == 2 and taken["seconds_waiting"] is not None
    assert of_table(record.changes, "sales") == [("opened", "new", 2)]
    assert of_table(record.changes, "products") == [("opened", "new", 2)]
    assert {each.action for each in record.changes} == {"opened"}
    for change in record.changes:
        assert ask(f"select count(*) from core.{change.table}") == [(change.versions,)]  # noqa: S608  # one of our tables
    assert record.figures["revenue"] == 1
    assert sum(record.figures.values()) == ask("select count(*) from marts.published_figures")[0][0]


def test_a_correction_closes_what_was_and_opens_what_is_and_the_run_before_keeps_its_own(
    warehouse: Settings, load: Load
) -> None:
    load("dirty_cafe", CAFE + TEA + CAKE)
    load("dirty_cafe", CAFE + CAKE.replace("2,3.00,6.00", "1,3.00,3.00"))

    first, second = find_run(warehouse, 1), find_run(warehouse, 2)

    assert of_table(second.changes, "sales") == [("opened", "correction", 1), ("closed", "correction", 1)]
    assert of_table(second.changes, "sale_lines") == [("opened", "correction", 1), ("closed", "correction", 1)]
    assert of_table(second.changes, "products") == []
    assert second.figures == {"gross_sales": 1, "revenue": 1}
    assert of_table(first.changes, "sales") == [("opened", "new", 2)]


def test_a_second_identical_load_changed_nothing_and_says_so(
    warehouse: Settings, load: Load, typed: Callable[..., str]
) -> None:
    load("dirty_cafe", CAFE + TEA + CAKE)
    load("dirty_cafe", CAFE + TEA + CAKE)

    found = compare_runs(warehouse, 1, 2)

    assert (found.a.changed_nothing, found.b.changed_nothing) == (False, True)
    different = {each.what: (each.a, each.b) for each in found.differences}
    assert different["sales, opened: new"] == (2, 0)
    assert different["published figures of revenue"] == (1, 0)
    assert {"source", "rows", "rejects", "rule version"} <= set(found.same)
    for words in (("show", "2"), ("diff", "1", "2")):
        assert typed(*words).splitlines()[-1].startswith("run 2 changed nothing")


def test_rejects_are_told_by_reason_as_they_were_when_the_run_was_over(warehouse: Settings, load: Load) -> None:
    load(
        "dirty_cafe",
        CAFE
        + TEA
        + CAKE.replace("2026-03-01", "01.03.2026")
        + CAKE.replace("T2", "T3").replace("2,3.00,6.00", "n/a,3.00,n/a"),
    )
    text = (SHIPPED / "dirty_cafe.toml").read_text(encoding="utf-8")
    warehouse.own_contracts.mkdir()
    own = text.replace('format = "%Y-%m-%d"', 'format = ["%Y-%m-%d", "%d.%m.%Y"]')
    (warehouse.own_contracts / "dirty_cafe.toml").write_text(own, encoding="utf-8")
    receive_again(warehouse, "dirty_cafe")
    run(warehouse)

    found = compare_runs(warehouse, 1, 2)

    quantity, date = "Quantity can't be read as a number", "Transaction Date can't be read as a date"
    assert found.a.rejects == {quantity: 1, date: 1}
    assert found.b.rejects == {quantity: 1}
    assert (found.a.run.rejects, found.b.run.rejects) == (2, 1)
    assert (found.a.loads[0]["taken_again_by"], found.b.loads[0]["taken_before_by"]) == (2, 1)
    assert found.b.loads[0]["seconds_waiting"] is None
    different = {each.what: (each.a, each.b) for each in found.differences}
    assert different[f"rejected: {date}"] == (1, 0)
    assert "rule version" in different and f"rejected: {quantity}" in found.same


def test_a_refused_file_and_a_load_held_back_give_their_reason_and_changed_nothing(
    warehouse: Settings, load: Load, typed: Callable[..., str]
) -> None:
    load("dirty_cafe", (CAFE + TEA.replace("Tea", "Crème")).encode("cp1252"))
    load("pos", f"{TILL}\nR1,Payment,2126-06-03,09:00:00,PanPan Centro,B,Bun,1,€2.00,€0.00,€2.00,€0.20,P1\n")

    blocked, refused = (find_run(warehouse, found.run_id) for found in runs(warehouse))

    assert (refused.run.status, refused.run.rows, refused.loads[0]["status"]) == ("done", 0, "refused")
    assert "encodings" in str(refused.run.reason)
    assert (blocked.run.status, blocked.run.source, blocked.run.known_at) == ("blocked", "pos", None)
    assert "core_no_sale_in_the_future" in str(blocked.run.reason)
    assert blocked.run.rule_version == rule_version(load_contracts()["pos"])
    assert blocked.run.seconds is not None and blocked.run.seconds > 0
    assert refused.changed_nothing and blocked.changed_nothing
    assert "left the model as it was: held back by check" in typed("show", str(blocked.run.run_id))
    assert runs(warehouse, status=Status.blocked) == [blocked.run]


def test_runs_without_loads_tell_what_they_did(warehouse: Settings, load: Load) -> None:
    sale = "R{0},Payment,2026-06-10,09:00:00,PanPan Centro,B,Bun,1,€2.00,€0.00,€2.00,€0.20,P{0},{1},{2}\n"
    people = f"{TILL},Customer ID,Customer Name\n{sale.format(1, 'X', 'Ana Ruiz')}{sale.format(2, 'Y', 'Leo Gil')}"
    load("pos", people)

    merge_customers(warehouse, "pos:X", "pos:Y", by="maria", reason="said so")
    rebuild(warehouse, compare_only=False)

    matched, rebuilt = find_run(warehouse, 2), find_run(warehouse, 3)
    assert (matched.run.step, matched.run.source, matched.run.rule_version) == ("match", None, "decision 1")
    assert (matched.run.loads, matched.loads) == (0, [])
    assert ("closed", "merge", 1) in of_table(matched.changes, "sales")
    assert ("opened", "merge", 1) in of_table(matched.changes, "sales")
    assert (rebuilt.run.step, rebuilt.run.rule_version, rebuilt.changed_nothing) == ("rebuild", "rebuild", True)
    for record in (matched, rebuilt):
        assert record.run.seconds is not None and record.run.seconds > 0


def test_the_list_is_newest_first_of_the_source_asked_for(
    warehouse: Settings, load: Load, typed: Callable[..., str]
) -> None:
    load("dirty_cafe", CAFE + TEA)
    load("pos", f"{TILL}\nR1,Payment,2026-06-03,09:00:00,PanPan Centro,B,Bun,1,€2.00,€0.00,€2.00,€0.20,P1\n")
    load("dirty_cafe", CAFE + CAKE)

    assert [found.run_id for found in runs(warehouse)] == [3, 2, 1]
    assert [found.run_id for found in runs(warehouse, source="dirty_cafe")] == [3, 1]
    answer = json.loads(typed("list", "--source", "dirty_cafe", "--limit", "1", "--json"))
    assert answer["ok"] is True
    [shown] = answer["runs"]
    assert (shown["run_id"], shown["loads"], shown["rows"], shown["status"]) == (3, 1, 1, "done")


def test_programs_read_one_object(load: Load, typed: Callable[..., str]) -> None:
    load("dirty_cafe", CAFE + TEA)
    load("dirty_cafe", CAFE + TEA)

    shown = json.loads(typed("show", "1", "--json"))
    compared = json.loads(typed("diff", "1", "2", "--json"))

    assert shown["ok"] is True and shown["run"]["run_id"] == 1 and shown["loads"][0]["rows"] == 1
    assert {"table": "sales", "action": "opened", "cause": "new", "versions": 1} in shown["changes"]
    assert compared["ok"] is True and compared["b"]["changed_nothing"] is True
    assert {"what": "sales, opened: new", "a": 1, "b": 0} in compared["differences"]


@pytest.mark.parametrize("words", [("show", "9"), ("diff", "1", "9")])
def test_an_unknown_run_is_told_with_those_there_are(load: Load, typed: Callable[..., str], words: tuple[str]) -> None:
    load("dirty_cafe", CAFE + TEA)
    load("dirty_cafe", CAFE + CAKE)

    with pytest.raises(UsageError) as told:
        typed(*words)

    assert told.value.message == "there is no run 9"
    assert told.value.cause == "the log has 2 runs, numbered 1 to 2; a try that was taken back leaves a gap"
    assert told.value.next == "bin/panpan runs list"
