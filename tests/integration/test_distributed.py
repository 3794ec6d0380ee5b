"""The formatted step on the workers of a Dask scheduler gives the bytes it gives here, or says why it does not."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from distributed import Client, LocalCluster
from typer.testing import CliRunner

import transforms.run
from panpan.cli.app import assembled
from panpan.settings import Settings
from panpan.simulate.big_export import big_export
from transforms import distributed, intake
from transforms.contract import Contract, load_contracts
from transforms.documents import Chunk, Opened, open_document
from transforms.formatted.records import format_records
from transforms.run import run

app = assembled()

CHECKOUT = Path(__file__).resolve().parents[2]
QUIET = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")
LINES = 20_000
CHUNK = 2_000
CAFE = "Transaction ID,Item,Quantity,Price Per Unit,Total Spent,Payment Method,Location,Transaction Date\n"
CONTACTS = {
    "results": [
        {"id": str(n), "createdAt": "2026-05-01T08:00:00Z", "updatedAt": "2026-05-01T08:00:00Z" if n % 5 else "soon"}
        | {
            "archived": n % 7 == 0,
            "properties": {"email": f"N{n}@x.es", "phone": f"6{n:08}", "firstname": "Zoë", "zip": None},
        }
        for n in range(1, 40)
    ]
}
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
OF_THE_CLOCK = ("received_at", "last_load_at")

Ask = Callable[..., list[tuple[Any, ...]]]
Deliver = Callable[..., int]
Contents = Callable[..., dict[str, list[str]]]
NewWarehouse = Callable[..., Any]


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Two worker processes on this machine, started again by their nannies when they die."""
    with local_cluster(2) as started:
        yield started


@contextmanager
def local_cluster(workers: int) -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",  # none is installed; its status page else takes 8787, which may be in use
        silence_logs=50,  # workers killed on purpose are no news
    ) as started:
        yield started


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents come in chunks of 2,000 records, so that small files give many."""

    def cut(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        for chunk in chunks:
            for start in range(0, len(chunk.positions), CHUNK):
                part = slice(start, start + CHUNK)
                frame = chunk.frame
                if len(chunk.positions) > CHUNK:  # of a file: one row per record
                    frame = frame.iloc[part].reset_index(drop=True)
                yield Chunk(chunk.positions[part], chunk.payloads[part], chunk.record_ids[part], frame)

    def opened(*args: Any) -> Opened:
        document = open_document(*args)
        return replace(document, chunks=cut(document.chunks))

    monkeypatch.setattr(intake, "open_document", opened)


def with_scheduler(settings: Settings, address: str) -> Settings:
    return settings.model_copy(update={"dask_scheduler": address})


def sheet_with_rejects(rows: int = 5_000) -> str:
    """Every seventh line has no number where one belongs, every eleventh a day of another form."""
    return CAFE + "".join(
        f"T{n},Cake,{'n/a' if n % 7 == 0 else 2},3.00,{'ERROR' if n % 7 == 0 else '6.00'},Cash,Takeaway,"
        f"{'01.05.2023' if n % 11 == 0 else '2023-05-01'}\n"
        for n in range(1, rows + 1)
    )


def deliver_all(settings: Settings, deliver: Deliver, folder: Path) -> None:
    big_export(folder / "big.csv", LINES)
    deliver("pos", (folder / "big.csv").read_bytes(), settings=settings)
    deliver("dirty_cafe", sheet_with_rejects(), settings=settings)
    deliver("crm", json.dumps(CONTACTS), "contacts", settings=settings)


@dataclass
class Outcome:
    """Everything a run left: rows of all tables, rejects, Parquet files, and what was staged, in its order."""

    tables: dict[str, list[str]]
    rejects: list[tuple[Any, ...]]
    parquet: dict[str, str]
    staged: list[tuple[str, pa.Table]]
    counts: tuple[int, int, int]


@pytest.fixture
def outcome(
    deliver: Deliver, ask: Ask, contents: Contents, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Outcome]:
    """Delivers the three documents and runs; `after_copy` is called with the number of each staged table."""

    def made(settings: Settings, scheduler: str | None, after_copy: Callable[[int], None] = lambda _: None) -> Outcome:
        deliver_all(settings, deliver, tmp_path)
        staged: list[tuple[str, pa.Table]] = []
        copy_table = intake.copy_table

        def noted(connection: Any, name: str, table: pa.Table) -> None:
            copy_table(connection, name, table)
            staged.append((name, table))
            after_copy(len(staged))

        with monkeypatch.context() as patch:
            patch.setattr(intake, "copy_table", noted)
            moments = count()
            patch.setattr(transforms.run, "next_known_at", lambda _: NOON + timedelta(seconds=next(moments)))
            report = run(with_scheduler(settings, scheduler) if scheduler else settings)
        return Outcome(
            contents("raw_pos", "raw_crm", "core", "core_history", "marts", settings=settings, without=OF_THE_CLOCK),
            ask(
                "select reject_id, raw_id, load_id, source, entity, reason, column_name, received_value, payload::text "
                "from ops.rejects order by reject_id",
                settings=settings,
            ),
            parquet_of(settings),
            staged,
            (report.rows, report.rejects, report.refused),
        )

    return made


LOCAL: list[Outcome] = []


@pytest.fixture
def local(new_warehouse: NewWarehouse, outcome: Callable[..., Outcome]) -> Outcome:
    """What a run without a scheduler leaves; made once for all tests."""
    if not LOCAL:
        with new_warehouse() as settings:
            LOCAL.append(outcome(settings, None))
    return LOCAL[0]


def parquet_of(settings: Settings) -> dict[str, str]:
    return {
        str(path.relative_to(settings.formatted)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(settings.formatted.rglob("*"))
        if path.is_file()
    }


def assert_equal(found: Outcome, expected: Outcome) -> None:
    assert found.counts == expected.counts
    assert [name for name, _ in found.staged] == [name for name, _ in expected.staged]
    assert all(one.equals(other) for (_, one), (_, other) in zip(found.staged, expected.staged, strict=True))
    assert found.rejects == expected.rejects
    assert found.parquet == expected.parquet
    assert found.tables == expected.tables


def test_a_run_on_workers_leaves_what_a_local_run_leaves(
    cluster: LocalCluster, new_warehouse: NewWarehouse, outcome: Callable[..., Outcome], local: Outcome
) -> None:
    with new_warehouse() as settings:
        distant = outcome(settings, cluster.scheduler_address)

    assert local.counts[0] > LINES
    assert local.counts[1] > 1_000
    assert len(local.staged) > LINES // CHUNK
    assert len(local.parquet) == 3
    assert local.tables["core.sale_lines"]
    assert local.tables["core_history.sale_lines"]
    assert_equal(distant, local)


def test_a_worker_killed_in_the_middle_changes_nothing_and_its_chunks_are_computed_again(
    cluster: LocalCluster, new_warehouse: NewWarehouse, outcome: Callable[..., Outcome], local: Outcome
) -> None:
    with Client(cluster.scheduler_address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=30)
        (address, victim), *_ = client.run(os.getpid).items()

    def kill(staged: int) -> None:
        if staged == 2:
            os.kill(victim, signal.SIGKILL)
            while address in cluster.scheduler.workers:
                time.sleep(0.01)

    with new_warehouse() as settings:
        distant = outcome(settings, cluster.scheduler_address, kill)

    assert_equal(distant, local)
    lost = [
        move for move in cluster.scheduler.transition_log if str(move.stimulus_id).startswith("handle-worker-cleanup")
    ]
    assert any(move.key.startswith("format_on_worker") for move in lost)
    with Client(cluster.scheduler_address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=30)
        assert victim not in client.run(os.getpid).values()


def nothing_half_done(settings: Settings, ask: Ask) -> None:
    assert ask("select count(*) from raw_pos.sale_lines", settings=settings) == [(0,)]
    assert ask("select count(*) from core.sales", settings=settings) == [(0,)]
    assert ask("select count(*) from ops.rejects", settings=settings) == [(0,)]
    assert ask("select count(*) from ops.runs", settings=settings) == [(0,)]
    assert {status for (status,) in ask("select status from ops.loads", settings=settings)} == {"received"}
    assert parquet_of(settings) == {}


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_a_scheduler_out_of_reach_is_said_at_the_edge_and_nothing_is_half_done(
    warehouse: Settings, deliver: Deliver, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver("dirty_cafe", sheet_with_rejects(50))
    address = f"tcp://127.0.0.1:{free_port()}"
    monkeypatch.setattr(distributed, "CONNECT_SECONDS", 0.5)
    monkeypatch.setenv("PANPAN_DASK_SCHEDULER", address)

    result = CliRunner().invoke(app, ["transform", "run", "--home", str(warehouse.home)])

    assert result.exit_code == 1
    error = result.exception
    assert isinstance(error, distributed.ClusterError)
    assert error.message == f"the Dask scheduler at {address} can't be reached; nothing half done was kept"
    assert error.explained_cause()
    assert "docs/scale-out.md" in str(error.next)
    nothing_half_done(warehouse, ask)

    monkeypatch.delenv("PANPAN_DASK_SCHEDULER")
    assert run(warehouse).loads == 1


def test_an_encrypted_scheduler_without_certificates_is_said(warehouse: Settings, deliver: Deliver, ask: Ask) -> None:
    deliver("dirty_cafe", sheet_with_rejects(50))

    with pytest.raises(distributed.ClusterError, match="can't be reached") as refused:
        run(with_scheduler(warehouse, f"tls://127.0.0.1:{free_port()}"))

    assert "no certificate is set" in str(refused.value.explained_cause())
    nothing_half_done(warehouse, ask)


def test_a_scheduler_without_workers_is_said(
    warehouse: Settings, deliver: Deliver, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver("dirty_cafe", sheet_with_rejects(50))
    monkeypatch.setattr(distributed, "CONNECT_SECONDS", 0.5)

    with local_cluster(0) as empty, pytest.raises(distributed.ClusterError, match="has no worker"):
        run(with_scheduler(warehouse, empty.scheduler_address))

    nothing_half_done(warehouse, ask)


def test_a_scheduler_killed_in_the_middle_leaves_nothing_half_done(
    warehouse: Settings, deliver: Deliver, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver("dirty_cafe", sheet_with_rejects(12_000))
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    scheduler = program("scheduler", "--host", "127.0.0.1", "--port", str(port), *QUIET, "--no-show")
    worker = program("worker", address, "--nthreads", "1", "--no-nanny", *QUIET)
    copied = []
    copy_table = intake.copy_table

    def kill(connection: Any, name: str, table: pa.Table) -> None:
        copy_table(connection, name, table)
        copied.append(name)
        if len(copied) == 2:
            scheduler.kill()
            scheduler.wait()

    monkeypatch.setattr(distributed, "CONNECT_SECONDS", 20)  # the two programs are starting
    try:
        with monkeypatch.context() as patch:
            patch.setattr(intake, "copy_table", kill)
            with pytest.raises(distributed.ClusterError, match="lost in the middle of a load"):
                run(with_scheduler(warehouse, address))
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()

    assert len(copied) >= 2
    nothing_half_done(warehouse, ask)
    assert run(warehouse).loads == 1


def test_a_worker_with_other_rules_is_refused_and_both_versions_are_named(
    cluster: LocalCluster, warehouse: Settings, deliver: Deliver, ask: Ask, tmp_path: Path
) -> None:
    deliver("dirty_cafe", sheet_with_rejects(50))
    for package in ("panpan", "transforms", "db"):
        shutil.copytree(CHECKOUT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "transforms" / "formatted" / "amounts.py").open("a", encoding="utf-8") as rules:
        rules.write("\nROUNDS_UP = True\n")
    contract = load_contracts(warehouse.own_contracts)["dirty_cafe"]
    ours = distributed.rules_of(contract)["rules"]

    other = program("worker", cluster.scheduler_address, "--nthreads", "1", "--no-nanny", *QUIET, root=tmp_path)
    try:
        with Client(cluster.scheduler_address, set_as_default=False) as client:
            client.wait_for_workers(3, timeout=30)
            theirs = {
                rules["rules"] for rules in client.run(distributed.rules_here, contract.model_dump_json()).values()
            }
        with pytest.raises(distributed.ClusterError, match="has other rules than this program") as refused:
            run(with_scheduler(warehouse, cluster.scheduler_address))
    finally:
        other.terminate()
        other.wait()
        while len(cluster.scheduler.workers) > 2:
            time.sleep(0.01)

    assert len(theirs) == 2
    (version,) = theirs - {ours}
    assert refused.value.explained_cause() == f"rules {version} there, {ours} here"
    nothing_half_done(warehouse, ask)


def program(*words: str, root: Path = CHECKOUT) -> subprocess.Popen[bytes]:
    """`dask scheduler` or `dask worker` with panpan's code of a folder."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "dask", *words],
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_a_worker_that_came_after_the_run_asked_refuses_chunks_of_other_rules() -> None:
    contract, entity, frame = received("dirty_cafe", sheet_with_rejects(3), None)
    rules = {**distributed.rules_of(contract), "rules": "0123456789", "pandas": "1.0"}

    with pytest.raises(distributed.ClusterError) as refused:
        distributed.format_on_worker(distributed.to_ipc(frame), contract.model_dump_json(), entity, rules)

    ours = distributed.rules_of(contract)
    assert (
        refused.value.cause == f"pandas {ours['pandas']} there, 1.0 here; rules {ours['rules']} there, 0123456789 here"
    )


def received(source: str, content: str, entity: str | None) -> tuple[Contract, str, pd.DataFrame]:
    contract = load_contracts(Path("/nonexistent"))[source]
    opened = open_document(io.BytesIO(content.encode()), contract, entity, 25_000)
    (chunk,) = opened.chunks
    return contract, opened.entity.entity, chunk.frame


@pytest.mark.parametrize(
    ("source", "content", "entity"),
    [
        pytest.param("dirty_cafe", sheet_with_rejects(100), None, id="file with rejects"),
        pytest.param("dirty_cafe", CAFE + "T1,Cake,x,1,1,,,2023-05-01\n", None, id="nothing but rejects"),
        pytest.param("crm", json.dumps(CONTACTS), "contacts", id="response with empty values"),
    ],
)
def test_a_frame_and_its_answer_cross_as_arrow_without_a_change(source: str, content: str, entity: str | None) -> None:
    contract, name, frame = received(source, content, entity)
    here = format_records(frame, contract, contract.entity_named(name))

    crossed = distributed.received_frame(distributed.to_ipc(frame))
    answer = distributed.format_on_worker(
        distributed.to_ipc(frame), contract.model_dump_json(), name, distributed.rules_of(contract)
    )

    pd.testing.assert_frame_equal(crossed, frame)
    assert distributed.from_ipc(answer.rows).equals(here.rows)
    assert distributed.from_ipc(answer.rows).schema.equals(here.rows.schema, check_metadata=True)
    assert answer.profile == here.profile
    rejects = distributed.from_ipc(answer.rejects).to_pylist()
    assert rejects == [
        {key: value if key == "position" or value is None else str(value) for key, value in reject.items()}
        for reject in here.rejects.astype(object).where(here.rejects.notna(), None).to_dict("records")
    ]


def test_no_more_chunks_are_read_ahead_than_keep_the_workers_busy(cluster: LocalCluster) -> None:
    contract, name, frame = received("dirty_cafe", sheet_with_rejects(10), None)
    read = 0

    def chunks() -> Iterator[Chunk]:
        nonlocal read
        for _ in range(20):
            read += 1
            yield Chunk(list(range(1, 11)), [b"{}"] * 10, [None] * 10, frame)

    ahead = []
    with distributed.formatting(contract, cluster.scheduler_address) as format_chunks:
        for done, _ in enumerate(format_chunks(chunks(), contract.entity_named(name)), start=1):
            ahead.append(read - done)

    assert read == len(ahead) == 20
    assert max(ahead) < distributed.CHUNKS_PER_THREAD * 2


def test_without_a_scheduler_dask_is_not_even_imported() -> None:
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, transforms.run; print({'dask', 'distributed', 'tornado'} & {*sys.modules})",
        ],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert found.stdout == "set()\n"
