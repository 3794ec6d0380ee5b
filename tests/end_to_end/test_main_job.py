"""
The main job as a user runs it: bin/panpan, real n8n, real PostgreSQL, files and APIs in, figures out; and the same
after each server was killed in the middle.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest

from db.connection import connect
from panpan.local import postgres, stack
from panpan.local.initialise import initialise
from panpan.settings import CHECKOUT, Settings
from panpan.simulate import pos
from panpan.simulate.big_export import big_export
from panpan.simulate.catalogue import START
from panpan.simulate.world import World

pytestmark = [pytest.mark.servers, pytest.mark.timeout(1800)]

Cli = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def home() -> Iterator[Settings]:
    """A home of its own; everything in it is stopped and removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="panpan-main-job-"))
    folder.chmod(0o755)
    settings = initialise(folder / "home", simulated=True)
    try:
        yield settings
    finally:
        with suppress(Exception):
            stack.down(settings)
        postgres.destroy(settings)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def demo(home: Settings) -> dict[str, Any]:
    """What the first demo of the home reports."""
    return run_cli(home, "demo", "--no-open", "--json", timeout=1500)


def start_cli(home: Settings, *words: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PANPAN_HOME": str(home.home), "PYTHONPATH": str(CHECKOUT)}
    return subprocess.Popen(
        [os.fspath(CHECKOUT / "bin" / "panpan"), *map(str, words)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_cli(home: Settings, *words: object, timeout: float = 300, code: int = 0) -> dict[str, Any]:
    process = start_cli(home, *words)
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == code, f"{words}: exit {process.returncode}\n{out[-2000:]}\n{err[-2000:]}"
    said: dict[str, Any] = json.loads(out) if "--json" in words else {}
    return said


def ask(home: Settings, statement: str) -> list[tuple[Any, ...]]:
    with connect(home, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def say(text: str) -> None:
    """A figure for the reader of the test log, shown with `pytest -s` and in CI's report of passed tests."""
    sys.stderr.write(f"\n{text}\n")


def wait_until(true: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not become so in time"
        time.sleep(0.02)


def kill(home: Settings, name: str) -> None:
    """kill -9 of one server, as the machine's owner or its memory killer would."""
    record = json.loads((home.home / "run" / f"{name}.json").read_text(encoding="utf-8"))
    with suppress(psutil.NoSuchProcess):
        os.kill(record["pid"], signal.SIGKILL)
        psutil.Process(record["pid"]).wait(10)


FIGURES = """
select source, event, count(*)::integer, sum(net_amount), sum(tax_amount), sum(line_count)::integer
from core.sales group by source, event order by source, event
"""
MARTS = "select source, sum(net_amount), sum(ticket_count)::integer from marts.daily_store_sales group by 1 order by 1"


def test_demo_shows_what_the_sources_hold_to_the_cent(home: Settings, demo: dict[str, Any]) -> None:
    world = World()
    stores = pos.added_up(pos.exported_totals(world, START, world.until).values())
    delivery = pos.added_up(pos.delivery_totals(world).values())

    say(f"first demo: {demo['seconds']}, raw {demo['raw']}")
    assert demo["ok"]
    assert demo["n8n"]["version"] == "2.40.7"
    assert demo["n8n"]["execution_ids"]
    assert Decimal(demo["metrics"]["revenue"]["pos"]) == Decimal(stores.net) / 100
    assert Decimal(demo["metrics"]["revenue"]["pos_api"]) == Decimal(delivery.net) / 100
    assert demo["core"]["core.stock_movements"] == len(world.stock.movements)
    assert all(demo["marts"][f"marts.{mart}"] for mart in ("daily_store_sales", "inventory_status", "data_freshness"))
    assert set(demo["seconds"]) == {"install", "start", "ingest", "transform"}


def test_demo_shows_an_alerts_whole_life_and_the_mails_become_files(
    home: Settings, demo: dict[str, Any], tmp_path: Path
) -> None:
    """Something was short and a delivery that n8n brought lifted it: both are told, and so is last week."""
    kinds = ask(home, "select kind from ops.alert_notices where rule = 'low_stock' order by notice_id")
    ends = ask(home, "select labels from ops.alert_events where rule = 'low_stock' and notice = 'recovered'")
    [moved] = ask(home, "select count(*) from core.stock_movements where kind = 'delivery'")
    caught = [file.read_text(encoding="utf-8") for file in home.caught_mails.glob("*.eml")]
    files = [
        Path(name)
        for each in run_cli(home, "alerts", "mails", "--to", tmp_path, "--json")["mails"]
        for name in each["files"]
    ]

    assert ("fired",) in kinds
    assert ("recovered",) in kinds
    assert ends
    assert moved[0] > 0
    subjects = " | ".join(demo["mails"])
    assert "Alert: Low on stock" in subjects
    assert "Over: Low on stock" in subjects
    assert "Last week" in subjects
    assert len([text for text in caught if "Low on stock" in text]) >= 2
    assert {"fired", "recovered"} <= {file.stem.rpartition("-")[2] for file in files}
    assert any("weekly_report" in file.name and file.suffix == ".html" for file in files)


def test_second_demo_changes_no_figure_and_is_quick(home: Settings, demo: dict[str, Any]) -> None:
    before = ask(home, FIGURES), ask(home, MARTS)
    started = time.monotonic()

    again = run_cli(home, "demo", "--no-open", "--json")

    seconds = time.monotonic() - started
    say(f"second demo: {seconds:.1f} s, {again['seconds']}")
    assert again["metrics"] == demo["metrics"]
    assert again["core"] == demo["core"]
    assert again["marts"] == demo["marts"]
    assert (ask(home, FIGURES), ask(home, MARTS)) == before
    # The promise is 30 s on a machine that does nothing else; a busy one gets some more before this is a failure.
    assert seconds < 90


def test_square_files_through_n8n_in_any_order_twice(home: Settings, demo: object, shared_data: Path) -> None:
    files = sorted((shared_data / "square_items").glob("*.csv"))
    for order in (files[3:] + files[:3], files[::-1]):
        loads = run_cli(home, "ingest", "drop", *order, "--source", "square_items", "--json")["loads"]
        assert {load["status"] for load in loads} <= {"loaded", "duplicate"}

    [sales] = ask(
        home, "select count(*), sum(net_amount), sum(tax_amount) from core.sales where source = 'square_items'"
    )
    [refund] = ask(
        home,
        "select r.net_amount, s.event, s.payment_reference = r.payment_reference from core.sales as r "
        "join core.sales as s on s.sale_id = r.reverses_sale_id where r.source = 'square_items' and r.event = 'refund'",
    )
    equal = ask(
        home,
        "select count(*) from core.sale_lines as l join core.sales as s using (sale_id) "
        "where s.sold_at = '2026-07-01 09:00:56 America/New_York' "
        "group by l.product_name, l.modifiers, l.net_amount, l.quantity having count(*) > 1",
    )

    assert sales == (1262, Decimal("14333.42"), Decimal("1106.56"))
    assert refund[1:] == ("sale", True)
    assert equal == [(2,)]


def test_three_store_sample_through_n8n(home: Settings, demo: object, shared_data: Path) -> None:
    folder = shared_data / "coffee_3stores_2019"
    names = "201904_sales_reciepts.csv.gz customer.csv product.csv sales_outlet.csv staff.csv pastry_inventory.csv"
    run_cli(home, "ingest", "drop", *(folder / name for name in names.split()), "--source", "coffee_chain", "--json")

    by_store = run_cli(home, "value", "revenue", "--by", "store", "--where", "source=coffee_chain", "--json")["rows"]
    [lines] = ask(
        home,
        "select count(*) from core.sale_lines as l join core.sales as s using (sale_id) "
        "where s.source = 'coffee_chain'",
    )

    assert {row["store"]: row["value"] for row in by_store} == {
        "coffee_chain:3": "77213.23",
        "coffee_chain:5": "76894.47",
        "coffee_chain:8": "79528.25",
    }
    assert lines == (49_894,)


def test_inferred_contracts_load_files_never_seen(home: Settings, demo: object, shared_data: Path) -> None:
    for name, file, count, net in (
        ("pizzaplace", "pizzaplace_2015/pizzaplace.csv.gz", 49_574, "817860.05"),
        ("cdnow", "cdnow/cdnow_transactions.csv", 6_919, "244091.94"),
    ):
        run_cli(home, "sources", "infer", shared_data / file, "--as", name, "--json")
        [load] = run_cli(home, "ingest", "drop", shared_data / file, "--source", name, "--json")["loads"]
        [value] = run_cli(home, "value", "revenue", "--where", f"source={name}", "--json")["rows"]

        assert (load["status"], load["rows"], value["value"]) == ("loaded", count, net)


def test_reject_is_replayed_once_the_rule_exists(home: Settings, demo: object, tmp_path: Path) -> None:
    header = "Transaction ID,Item,Quantity,Price Per Unit,Total Spent,Payment Method,Location,Transaction Date\n"
    file = tmp_path / "sheet.csv"
    file.write_text(header + "T1,Cake,2,3.0,6.0,Cash,In-store,2026-02-01\nT2,Tea,1,2.0,2.0,Cash,In-store,ERROR\n")
    run_cli(home, "ingest", "drop", file, "--source", "dirty_cafe", "--json")
    before = [row for row in run_cli(home, "rejects", "list", "--source", "dirty_cafe", "--json")["rows"]]

    contract = (CHECKOUT / "transforms" / "sources" / "dirty_cafe.toml").read_text(encoding="utf-8")
    home.own_contracts.mkdir(exist_ok=True)
    own = home.own_contracts / "dirty_cafe.toml"
    own.write_text(
        contract.replace('format = "%Y-%m-%d", required = true }', 'format = "%Y-%m-%d", default = "2026-02-28" }')
    )
    try:
        replayed = run_cli(home, "rejects", "replay", "dirty_cafe", "--json")
    finally:
        own.unlink()

    assert before == [{"source": "dirty_cafe", "reason": "Transaction Date is missing", "count": 1}]
    assert (replayed["rejects_before"], replayed["rejects_after"]) == (1, 0)
    assert ask(home, "select business_date from core.sales where source = 'dirty_cafe' and receipt_number = 'T2'") == [
        (date(2026, 2, 28),)
    ]


def test_bad_file_is_refused_whole_with_a_sentence_and_the_others_go_on(
    home: Settings, demo: object, tmp_path: Path
) -> None:
    good, cut = tmp_path / "good.csv", tmp_path / "cut.csv"
    big_export(good, 200, seed=11)
    big_export(cut, 200, seed=12)
    cut.write_bytes(cut.read_bytes()[:-90])
    before = ask(home, FIGURES)

    loads = run_cli(home, "ingest", "drop", good, cut, "--source", "pos", "--json", code=1)["loads"]

    by_file = {load["file"]: load for load in loads}
    assert by_file["good.csv"]["status"] == "loaded"
    assert by_file["cut.csv"]["status"] == "refused"
    assert "cut off" in by_file["cut.csv"]["reason"]
    assert sum(row[5] for row in ask(home, FIGURES)) - sum(row[5] for row in before) == 200


@pytest.mark.parametrize("victim", ["worker", "postgres"])
def test_kill_in_the_middle_of_a_transform_leaves_no_half_load(
    home: Settings, demo: object, tmp_path: Path, victim: str
) -> None:
    file = tmp_path / f"large_{victim}.csv"
    totals = big_export(file, 60_000, seed={"worker": 21, "postgres": 22}[victim])
    before = ask(home, FIGURES)
    dropping = start_cli(home, "ingest", "drop", file, "--source", "pos", "--json")
    wait_until(lambda: ask(home, "select count(*) from ops.loads where status = 'received'") == [(1,)])
    time.sleep(1.5)  # into the middle of the batch, which takes several seconds

    kill(home, victim)
    assert ask(home, FIGURES) == before if victim == "worker" else True
    stack.up(home, simulate=True)
    dropping.communicate(timeout=300)
    wait_until(lambda: ask(home, "select count(*) from ops.loads where status = 'received'") == [(0,)])

    after = {(source, event): (lines, net) for source, event, _, net, _, lines in ask(home, FIGURES)}
    known = {(source, event): (lines, net) for source, event, _, net, _, lines in before}
    grown = after["pos", "sale"][0] - known["pos", "sale"][0]
    assert grown == totals.lines
    assert after["pos", "sale"][1] - known["pos", "sale"][1] == Decimal(totals.net) / 100


def test_kill_of_n8n_in_the_middle_of_a_pull_leaves_no_half_load(home: Settings, demo: object) -> None:
    movements = "select count(*), sum(quantity) from core.stock_movements where source = 'inventory'"
    before = ask(home, movements)
    with connect(home, "owner") as connection, connection.cursor() as cursor:
        cursor.execute("delete from ops.watermarks where source = 'inventory'")  # so that the pull is long again
    [(loaded,)] = ask(home, "select count(*) from ops.loads where source = 'inventory' and status = 'loaded'")
    pulling = start_cli(home, "ingest", "run", "inventory", "--json")
    many = "select count(*) from ops.load_requests as r join ops.loads as l using (load_id) where l.status = 'open'"
    wait_until(lambda: ask(home, many)[0][0] >= 5)

    kill(home, "n8n")
    out, _ = pulling.communicate(timeout=300)
    stack.up(home, simulate=True)
    states = ask(
        home, "select distinct status from ops.loads where source = 'inventory' and status in ('open', 'failed')"
    )
    again = run_cli(home, "ingest", "run", "inventory", "--json", timeout=600)

    assert pulling.returncode == 1, out
    assert json.loads(out)["error"]
    assert states == [("failed",)]
    assert {load["status"] for load in again["loads"]} == {"loaded"}
    assert ask(home, movements) == before
    [(now,)] = ask(home, "select count(*) from ops.loads where source = 'inventory' and status = 'loaded'")
    assert now > loaded


def test_large_file_passes_through_n8n_as_a_reference(home: Settings, demo: object, tmp_path: Path) -> None:
    """n8n registers it, the worker reads it; n8n's memory stays below 1 GB."""
    file = tmp_path / "large.csv"
    totals = big_export(file, 150_000, seed=31)
    started = time.monotonic()

    [load] = run_cli(home, "ingest", "drop", file, "--source", "pos", "--json")["loads"]

    seconds = time.monotonic() - started
    memory = {state.name: (state.memory_bytes or 0) // 2**20 for state in stack.status(home)}
    say(f"150,000 lines from drop to core: {seconds:.1f} s, {150_000 / seconds:.0f} lines/s, MB {memory}")
    assert (load["status"], load["rows"]) == ("loaded", totals.lines)
    assert file.stat().st_size > home.inline_bytes
    assert memory["n8n"] < 1024
    assert ask(
        home, "select content is null, stored_path is not null from raw_pos.documents order by document_id desc limit 1"
    ) == [(True, True)]


def test_down_leaves_nothing_running(home: Settings, demo: object) -> None:
    run_cli(home, "down", "--json")

    assert not [state.name for state in stack.status(home) if state.running]
    mine = str(home.home)
    left = [
        process.info["cmdline"]
        for process in psutil.process_iter(["cmdline", "pid"])
        if mine in " ".join(process.info["cmdline"] or []) and process.info["pid"] != os.getpid()
    ]
    assert left == []
