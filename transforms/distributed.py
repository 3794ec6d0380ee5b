"""
The formatted step on other processes and machines: chunks go to the workers of a Dask scheduler, typed rows come back.

Comes in: the chunks of a document, in order. Goes out: each with what format_records makes of it, in the same order and
to the same bytes as if it had been made here. Dask is imported only where a scheduler is named, and nothing is started.
"""

from __future__ import annotations

import platform
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from panpan.errors import PanpanError
from transforms.contract import Contract, Entity
from transforms.documents import Chunk
from transforms.formatted.records import Formatted, format_records
from transforms.versions import rule_version

if TYPE_CHECKING:
    from distributed import Client, Future

FormatChunks = Callable[[Iterator[Chunk], Entity], Iterator[tuple[Chunk, Formatted]]]
Rules = dict[str, str]

CONNECT_SECONDS = 10
WITHOUT_WORKER_SECONDS = 60  # a worker that died is started again by its nanny within seconds
POLL_SECONDS = 5
FETCH_SECONDS = 60
CHUNKS_PER_THREAD = 2  # one under way and one at hand: no worker waits, and memory stays bounded
LIBRARIES = ("numpy", "pandas", "phonenumbers", "pyarrow", "tzdata")  # those that take part in a typed value
LZ4 = pa.ipc.IpcWriteOptions(compression="lz4")
NEXT = "see docs/scale-out.md, or unset PANPAN_DASK_SCHEDULER to work without; then bin/panpan transform run"


class ClusterError(PanpanError):
    """The workers of the Dask scheduler can't be used; nothing half done was kept."""


@contextmanager
def formatting(contract: Contract, scheduler: str | None) -> Iterator[FormatChunks]:
    """
    How the chunks of one load are formatted: here, one after the other, or by the workers of a scheduler.

    Errors: ClusterError when a scheduler is named that can't be reached, has no worker, or has one with other rules;
    also later, when its workers are lost for good. It never works here instead: the owner would not notice.
    """
    if not scheduler:
        yield lambda chunks, entity: _format_here(chunks, contract, entity)
        return
    import dask  # noqa: PLC0415  # half a second that nobody pays who does not use it

    with _connected(scheduler) as client, dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GiB"}):
        yield _Cluster(scheduler, client, contract).format_chunks


def _format_here(chunks: Iterator[Chunk], contract: Contract, entity: Entity) -> Iterator[tuple[Chunk, Formatted]]:
    for chunk in chunks:
        formatted = format_records(chunk.frame, contract, entity)
        # Parquet's pages follow the pieces a column is in; in one piece the bytes are those a worker's answer gives.
        yield chunk, Formatted(formatted.rows.combine_chunks(), formatted.rejects, formatted.profile)


# --- the side of the transform run -------------------------------------------------------------------------


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    from distributed import Client, Security  # noqa: PLC0415  # as in formatting

    try:
        security = Security()  # from Dask's own settings
        if address.startswith("tls:") and not security.get_connection_args("client")["ssl_context"]:
            raise ValueError("no certificate is set: DASK_DISTRIBUTED__COMM__TLS__CA_FILE and the client's two")
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False, name="panpan", security=security)
    except Exception as error:  # OSError, or whatever its TLS settings and the two versions of Dask raise
        raise ClusterError(
            f"the Dask scheduler at {address} can't be reached; nothing half done was kept",
            cause=_one_line(error),
            next=f"start scheduler and workers: {NEXT}",
        ) from error
    try:
        yield client
    finally:
        with suppress(OSError, CancelledError):  # of a scheduler that is gone there is no leave to take
            client.close(timeout=CONNECT_SECONDS)


class _Cluster:
    """The workers behind a scheduler, known to have the rules of this program."""

    def __init__(self, address: str, client: Client, contract: Contract) -> None:
        self._address = address
        self._client = client
        self._contract = contract.model_dump_json()
        self._rules = rules_of(contract)
        self._window = CHUNKS_PER_THREAD * self._threads_of_equals()

    def format_chunks(self, chunks: Iterator[Chunk], entity: Entity) -> Iterator[tuple[Chunk, Formatted]]:
        """Each chunk with its typed rows, in order; as many are read ahead as keep the workers busy."""
        under_way: deque[tuple[Chunk, Future[Answer]]] = deque()
        for chunk in chunks:
            under_way.append((chunk, self._submit(chunk, entity)))
            if len(under_way) >= self._window:
                yield self._collect(*under_way.popleft())
        while under_way:
            yield self._collect(*under_way.popleft())

    def _threads_of_equals(self) -> int:
        """How many chunks are typed at once. All workers there are now must have our rules."""
        try:
            self._client.wait_for_workers(1, timeout=CONNECT_SECONDS)
            found = self._client.run(rules_here, self._contract, on_error="return")
            threads = self._client.nthreads()
        except TimeoutError as error:
            raise ClusterError(
                f"the Dask scheduler at {self._address} has no worker; nothing half done was kept",
                cause=f"none came within {CONNECT_SECONDS} seconds",
                next=f"start workers: {NEXT}",
            ) from error
        except OSError as error:
            raise self._lost(error) from error
        for worker, rules in found.items():
            if isinstance(rules, Exception):
                raise ClusterError(
                    f"the Dask worker {worker} can't apply panpan's rules",
                    cause=_one_line(rules),
                    next=f"start the worker from the same image as panpan: {NEXT}",
                )
            _refuse_other_rules(self._rules, rules, worker)
        return sum(threads.values()) or 1

    def _submit(self, chunk: Chunk, entity: Entity) -> Future[Answer]:
        # The bytes travel inside the task, so that the scheduler can give it to another worker when one is lost.
        return self._client.submit(
            format_on_worker, to_ipc(chunk.frame), self._contract, entity.entity, self._rules, pure=False
        )

    def _collect(self, chunk: Chunk, future: Future[Answer]) -> tuple[Chunk, Formatted]:
        from distributed.scheduler import KilledWorker, NoValidWorkerError  # noqa: PLC0415  # as in formatting

        try:
            answer = self._answer(future)
        except (OSError, CancelledError, KilledWorker, NoValidWorkerError) as error:
            raise self._lost(error) from error
        finally:
            future.release()
        return chunk, Formatted(from_ipc(answer.rows), from_ipc(answer.rejects).to_pandas(), answer.profile)

    def _answer(self, future: Future[Answer]) -> Answer:
        """The chunk's rows once they are there; not waited for for ever where no worker is left to make them."""
        from distributed import wait  # noqa: PLC0415  # as in formatting

        deadline: float | None = None
        while True:
            with suppress(TimeoutError), self._client.as_current():
                wait([future], timeout=POLL_SECONDS)
                answer: Answer = future.result(timeout=FETCH_SECONDS)
                return answer
            if self._client.nthreads():
                deadline = None
                continue
            deadline = deadline or time.monotonic() + WITHOUT_WORKER_SECONDS
            if time.monotonic() > deadline:
                raise OSError(f"no worker was left for {WITHOUT_WORKER_SECONDS} seconds")

    def _lost(self, error: BaseException) -> ClusterError:
        return ClusterError(
            f"the Dask workers behind {self._address} were lost in the middle of a load; nothing half done was kept",
            cause=_one_line(error),
            next=f"look at the logs of scheduler and workers: {NEXT}",
        )


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


# --- the side of the workers -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """A formatted chunk on its way back: rows and rejects as Arrow IPC, and the profile."""

    rows: bytes
    rejects: bytes
    profile: dict[str, dict[str, Any]]


def format_on_worker(frame: bytes, contract: str, entity: str, rules: Rules) -> Answer:
    """
    Format one chunk where this runs; the contract comes as JSON.

    Errors: ClusterError where the rules are not those of the run: a worker may have come after it asked.
    """
    _refuse_other_rules(rules, rules_here(contract), platform.node())
    known = _contract(contract)
    formatted = format_records(received_frame(frame), known, known.entity_named(entity))
    return Answer(to_ipc(formatted.rows.combine_chunks()), to_ipc(_texts(formatted.rejects)), formatted.profile)


def rules_here(contract: str) -> Rules:
    """What the process this runs in would make rows by."""
    return rules_of(_contract(contract))


def rules_of(contract: Contract) -> Rules:
    """All that decides how a row comes out, by name: panpan's rules, the contract's, the libraries'."""
    return {"rules": rule_version(contract), **_libraries()}


@cache
def _libraries() -> Rules:
    python = ".".join(platform.python_version_tuple()[:2])
    return {"Python": python, **{name: version(name) for name in LIBRARIES}}


@lru_cache(maxsize=16)
def _contract(text: str) -> Contract:
    return Contract.model_validate_json(text)


def _refuse_other_rules(ours: Rules, theirs: Rules, worker: str) -> None:
    differing = [
        f"{name} {theirs.get(name)} there, {ours.get(name)} here"
        for name in sorted({*ours, *theirs})
        if ours.get(name) != theirs.get(name)
    ]
    if differing:
        raise ClusterError(
            f"the Dask worker {worker} has other rules than this program, so its rows would differ",
            cause="; ".join(differing),
            next=f"start the worker from the same image as panpan: {NEXT}",
        )


# --- frames as Arrow IPC -----------------------------------------------------------------------------------


def to_ipc(table: pa.Table | pd.DataFrame) -> bytes:
    """A table or frame as an Arrow IPC stream, its columns compressed: a received chunk takes a quarter then."""
    if isinstance(table, pd.DataFrame):
        table = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, table.schema, options=LZ4) as writer:
        writer.write_table(table)
    content: bytes = stream.getvalue().to_pybytes()
    return content


def from_ipc(content: bytes) -> pa.Table:
    """The table of an Arrow IPC stream."""
    with pa.ipc.open_stream(content) as reader:
        return reader.read_all()


def received_frame(content: bytes) -> pd.DataFrame:
    """The frame of an Arrow IPC stream: texts are Arrow's, the position numpy's, as documents.py makes them."""
    return from_ipc(content).to_pandas(
        types_mapper=lambda kind: None if kind == pa.int64() else pd.ArrowDtype(kind), ignore_metadata=True
    )


def _texts(rejects: pd.DataFrame) -> pa.Table:
    """Rejects with everything but their position as text, as they are stored."""
    return pa.table(
        {
            name: pa.array(values, pa.int64())
            if name == "position"
            else pa.array([None if pd.isna(value) else str(value) for value in values], pa.string())
            for name, values in rejects.items()
        }
    )
