"""
A transform run that is killed, doubled, starved or fed rubbish: afterwards the model is what it would have been.

Kills are real: a program of its own wraps one function and ends itself there with SIGKILL.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest
from pyarrow import parquet

from db.migrate import migrate
from panpan.errors import DatabaseError, PanpanError
from panpan.local import postgres
from panpan.settings import Settings
from transforms import intake
from transforms import run as flow
from transforms.run import run

CHECKOUT = Path(__file__).resolve().parents[2]
Deliver = Callable[..., int]
Ask = Callable[..., list[tuple[Any, ...]]]
Contents = Callable[..., dict[str, list[str]]]
Making = Callable[[], AbstractContextManager[Settings]]

HEADER = (
    "Transaction ID,Event Type,Date,Time,Location,SKU,Item,Qty,Gross Sales,Discounts,Net Sales,Tax,"
    "Payment ID,Customer ID\n"
)
KILLED_PROGRAM = textwrap.dedent(
    """
    import importlib, os, signal, sys
    from pathlib import Path
    from panpan.settings import load_settings
    from transforms.run import run

    home, place, name, times, moment = sys.argv[1:]
    module, _, holder = place.partition(":")
    owner = importlib.import_module(module)
    owner = getattr(owner, holder) if holder else owner
    real, calls = getattr(owner, name), 0

    def dying(*arguments, **named):
        global calls
        calls += 1
        if calls == int(times) and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = real(*arguments, **named)
        if calls == int(times):
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(owner, name, dying)
    run(load_settings(home=Path(home)))
    """
)


def till(*receipts: int, price: str = "2.00") -> str:
    rows = [
        f"R{n},Payment,2026-06-{n % 27 + 1:02d},09:00:00,PanPan Centro,B{n % 3},Bun {n % 3},1,"
        f"€{price},€0.00,€{price},€0.20,P{n},C{n % 5}"
        for n in receipts
        for _ in range(2)
    ]
    return HEADER + "\n".join([*rows, "RX,Payment,never,09:00:00,PanPan Centro,B,Bun,1,€2.00,€0.00,€2.00,€0.20,,", ""])


def orders(*numbers: int) -> str:
    items = [
        {"name": "Pizza", "quantity": "1", "gross_sales_money": {"amount": 900}, "total_money": {"currency": "EUR"}}
    ]
    known = {
        "state": "COMPLETED",
        "created_at": "2026-06-10T10:00:00Z",
        "location_id": "L-DELIVERY",
        "line_items": items,
    }
    return json.dumps({"orders": [{"id": f"O{n}", **known} for n in numbers]})


DELIVERIES = (
    ("pos", till(*range(1, 30)), None),
    ("pos_api", orders(1, 2, 3), "orders"),
    ("pos", till(*range(20, 40), price="3.00"), None),
    ("pos", "<html>Please log in</html>", None),
    ("crm", json.dumps({"results": [{"id": "1", "properties": {"firstname": "Ana"}}]}), "contacts"),
)


@pytest.fixture
def received(warehouse: Settings, deliver: Deliver) -> Settings:
    """A warehouse with five loads of three sources that wait, one of them a web page."""
    fill(warehouse, deliver)
    return warehouse


def fill(settings: Settings, deliver: Deliver) -> None:
    for source, content, entity in DELIVERIES:
        deliver(source, content, entity, settings=settings)


@pytest.fixture
def state(ask: Ask, contents: Contents) -> Callable[[Settings], dict[str, Any]]:
    """Everything a run leaves, but for the moments it did so and the numbers of its attempts."""

    def read(settings: Settings) -> dict[str, Any]:
        moments = ("last_load_at", "known_from", "known_to", "known_at", "valid_from", "valid_to")
        found: dict[str, Any] = dict(
            contents("core", "marts", "raw_pos", "raw_crm", settings=settings, without=(*moments, "received_at"))
        )
        found["loads"] = ask(
            "select load_id, status, reason, record_count, row_count, reject_count, profile from ops.loads order by 1",
            settings=settings,
        )
        found["rejects"] = ask("select raw_id, reason, resolved_at from ops.rejects order by 1", settings=settings)
        found["files"] = {
            str(path.relative_to(settings.formatted)): parquet.read_table(path).to_pylist()
            for path in sorted(settings.formatted.rglob("*.*"))
        }
        return found

    return read


EXPECTED: dict[str, Any] = {}


@pytest.fixture
def expected(new_warehouse: Making, deliver: Deliver, state: Callable[[Settings], dict[str, Any]]) -> dict[str, Any]:
    """What an undisturbed run makes of the five loads; made once."""
    if not EXPECTED:
        with new_warehouse() as calm:
            fill(calm, deliver)
            run(calm)
            EXPECTED.update(state(calm))
        assert [load[1] for load in EXPECTED["loads"]] == ["loaded", "loaded", "loaded", "refused", "loaded"]
        assert len(EXPECTED["files"]) == 4
    return EXPECTED


def killed(settings: Settings, place: str, name: str, times: int = 1, moment: str = "before") -> None:
    """Run the transforms in a program that kills itself at a call of a function."""
    words = [sys.executable, "-c", KILLED_PROGRAM, str(settings.home), place, name, str(times), moment]
    ended = subprocess.run(
        words, cwd="/", env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == -signal.SIGKILL, f"{place}.{name} was not reached\n{ended.stderr}"


@pytest.mark.parametrize(
    ("place", "name", "times", "moment"),
    [
        pytest.param("transforms.intake", "_copy_raw", 1, "after", id="raw records copied"),
        pytest.param("transforms.intake", "copy_table", 2, "before", id="half staged"),
        pytest.param("transforms.intake", "_keep_rejects", 2, "after", id="rejects of the second load kept"),
        pytest.param("transforms.run", "take_load", 2, "after", id="between two loads of one batch"),
        pytest.param("transforms.run", "merge", 1, "before", id="before the first table of core"),
        pytest.param("transforms.run", "merge", 8, "after", id="receipts in, their lines not"),
        pytest.param("transforms.run", "_finish", 1, "after", id="loads marked, not committed"),
        pytest.param("pathlib:Path", "replace", 1, "after", id="a file published, not committed"),
        pytest.param("transforms.run", "_add", 1, "before", id="the first batch committed"),
        pytest.param("transforms.run", "_add", 2, "before", id="the second batch committed"),
    ],
)
def test_a_run_killed_at_any_moment_is_made_good_by_the_next(
    received: Settings,
    expected: dict[str, Any],
    state: Callable[[Settings], dict[str, Any]],
    place: str,
    name: str,
    times: int,
    moment: str,
) -> None:
    killed(received, place, name, times, moment)

    run(received)

    assert state(received) == expected


def test_two_runs_at_once_share_the_work_and_double_nothing(
    received: Settings, expected: dict[str, Any], state: Callable[[Settings], dict[str, Any]]
) -> None:
    words = [
        sys.executable,
        "-c",
        f"from pathlib import Path; from panpan.settings import load_settings; from transforms.run import run; "
        f"run(load_settings(home=Path({str(received.home)!r})))",
    ]
    both = [
        subprocess.Popen(
            words, cwd="/", env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]

    ends = [(each.communicate(timeout=120)[1], each.returncode) for each in both]

    assert ends == [("", 0), ("", 0)]
    assert state(received) == expected


@pytest.fixture
def own_server(new_server: Making) -> Iterator[Settings]:
    """A PostgreSQL that may be killed: a migrated warehouse of this test alone."""
    with new_server() as settings:
        migrate(settings)
        yield settings


def test_a_killed_postgresql_is_an_error_that_names_the_way_out_and_loses_nothing(
    own_server: Settings,
    deliver: Deliver,
    state: Callable[[Settings], dict[str, Any]],
    expected: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fill(own_server, deliver)
    real, calls = flow.merge, []

    def kill_server(*arguments: Any) -> int:
        calls.append(1)
        if len(calls) == 8:
            for process in postgres.daemon(own_server).members():
                psutil.Process(process.pid).kill()
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(flow, "merge", kill_server)
        with pytest.raises(DatabaseError, match="nothing half done was kept") as caught:
            run(own_server)
    assert caught.value.next == "bin/panpan up, then bin/panpan transform run"
    with pytest.raises(DatabaseError, match="can't connect"):
        run(own_server)

    postgres.start(own_server)
    run(own_server)

    assert state(own_server) == expected


# --- what can't be read or written -------------------------------------------------------------------------


def test_a_bad_file_refuses_its_own_load_and_leaves_nothing_half_behind(
    warehouse: Settings, deliver: Deliver, ask: Ask
) -> None:
    """Its fault stands at its end, when thousands of its records have been split, staged and rejected already."""
    note = "x" * 2000
    rows = "".join(f"T{n},{note},{'one' if n % 2 else 1},3.00,ERROR,Cash,,2023-05-01\n" for n in range(9000))
    sheet = "Transaction ID,Item,Quantity,Price Per Unit,Total Spent,Payment Method,Location,Transaction Date\n"
    good = [deliver("dirty_cafe", f"{sheet}A{n},Cake,1,3.00,3.00,Cash,,2023-05-01\n") for n in (1, 2)]
    bad = deliver("dirty_cafe", sheet + rows + "cut off he")
    good.append(deliver("dirty_cafe", f"{sheet}A3,Cake,1,3.00,3.00,Cash,,2023-05-01\n"))
    seen: list[int] = []

    report = run(warehouse.model_copy(update={"batch_rows": 100}), lambda _: seen.append(1))

    assert (report.loads, report.refused) == (3, 1)
    assert "cells where the header has 8" in report.refusals[0]
    assert ask("select load_id, status from ops.loads order by 1") == [
        (n, "refused" if n == bad else "loaded") for n in sorted([*good, bad])
    ]
    assert ask("select sum(net_amount), count(*) from core.sales") == [(9, 3)]
    for table in ("raw_pos.sale_lines", "ops.rejects"):
        assert ask(f"select count(*) from {table} where load_id = %s", bad) == [(0,)]  # noqa: S608  # one of two names
    assert sorted(path.name for path in warehouse.formatted.rglob("*.*")) == [f"load_{n}.parquet" for n in good]
    assert len(seen) == 1, "all four were one batch"


def test_a_bad_page_refuses_all_pages_of_its_load(warehouse: Settings, deliver: Deliver, ask: Ask) -> None:
    load_id = deliver("pos_api", orders(1, 2), "orders")
    ask(
        "insert into raw_pos.documents (document_id, load_id, entity, name, content, byte_count, sha256) "
        "select nextval('ops.document_ids'), load_id, entity, 'page 2', 'oops', 4, sha256('oops') "
        "from raw_pos.documents returning 1"
    )

    report = run(warehouse)

    assert report.refusals == ["the response is not JSON"]
    assert ask("select count(*) from raw_pos.orders union all select count(*) from core.sales") == [(0,), (0,)]
    assert ask("select status from ops.loads where load_id = %s", load_id) == [("refused",)]


def test_a_source_without_contract_refuses_its_loads_by_name_and_stops_no_other(
    warehouse: Settings, deliver: Deliver, ask: Ask
) -> None:
    deliver("pos", till(1))
    ask("update ops.loads set source = 'gone' returning 1")
    deliver("pos", till(2))

    report = run(warehouse)

    assert report.refusals == ["there is no contract for source gone"]
    assert ask("select receipt_number from core.sales") == [("R2",)]


def test_a_formatted_folder_that_can_t_be_written_is_said_so_and_nothing_is_published(
    received: Settings, expected: dict[str, Any], state: Callable[[Settings], dict[str, Any]], ask: Ask
) -> None:
    received.formatted.write_text("not a folder")

    with pytest.raises(PanpanError, match="formatted files can't be written") as caught:
        run(received)

    assert str(received.formatted) in str(caught.value.next)
    assert ask("select distinct status from ops.loads") == [("received",)]
    assert ask("select count(*) from core.sales") == [(0,)]
    received.formatted.unlink()
    run(received)
    assert state(received) == expected


@pytest.mark.parametrize("stored", [False, True], ids=["in the database", "in the archive"])
def test_a_full_disk_is_said_so_and_the_next_run_makes_it_good(
    warehouse: Settings, deliver: Deliver, ask: Ask, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    """A file of the archive must not be refused for it: it is not the file that is wrong."""
    content = till(*range(10)).encode()
    deliver("pos", content)
    if stored:
        warehouse.archive.mkdir()
        (warehouse.archive / "till.csv").write_bytes(content)
        ask("update raw_pos.documents set content = null, stored_path = 'archive/till.csv' returning 1")

    def no_space(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(intake.parquet.ParquetWriter, "write_table", no_space)
        with pytest.raises(PanpanError, match="formatted files can't be written") as caught:
            run(warehouse)

    assert "No space left on device" in str(caught.value.cause)
    assert list(warehouse.formatted.rglob("*.*")) == []
    assert ask("select status from ops.loads") == [("received",)]
    run(warehouse)
    assert ask("select count(*), sum(net_amount) from core.sales") == [(10, 40)]


def test_a_program_that_fails_in_the_middle_of_a_large_file_ends(warehouse: Settings, deliver: Deliver) -> None:
    """Arrow reads ahead in a thread; one that still reads when the program ends would hold it for ever."""
    sheet = "Transaction ID,Item,Quantity,Price Per Unit,Total Spent,Payment Method,Location,Transaction Date\n"
    deliver("dirty_cafe", sheet + "".join(f"T{n},{'x' * 2000},1,3.00,3.00,Cash,,2023-05-01\n" for n in range(9000)))
    program = (
        "import sys; from pathlib import Path; from panpan.settings import load_settings; from "
        "transforms import intake, run\n"
        "def fail(*_): raise ValueError('a mistake of ours')\n"
        "intake.copy_table = fail\n"
        "run.run(load_settings(home=Path(sys.argv[1]), batch_rows=100))\n"
    )

    for _ in range(2):
        ended = subprocess.run(
            [sys.executable, "-c", program, str(warehouse.home)],
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

        assert "a mistake of ours" in ended.stderr
        assert ended.returncode == 1


@pytest.mark.parametrize(
    ("change", "why"), [("gone", "can't be read from"), ("changed", "was changed after it was registered")]
)
def test_an_archived_file_that_is_gone_or_changed_refuses_its_load(
    warehouse: Settings, deliver: Deliver, ask: Ask, change: str, why: str
) -> None:
    deliver("pos", till(1))
    ask("update raw_pos.documents set content = null, stored_path = 'archive/till.csv' returning 1")
    if change == "changed":
        warehouse.archive.mkdir()
        (warehouse.archive / "till.csv").write_text(till(2))

    report = run(warehouse)

    assert len(report.refusals) == 1
    assert why in report.refusals[0]
