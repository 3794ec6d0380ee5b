"""
Runs of the workflows that load sources: start one now, wait for what it loads, say how sources stand.

Comes in: a source's name. Goes out: a call of the workflow's webhook, and reports read from ops.loads, which
n8n's functions and the worker keep; n8n's own list of executions is not asked.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from db.connection import connect
from panpan.errors import IngestError, RunUnderWay, UsageError
from panpan.ingest.inbox import InboxFile, Scan, archive_taken, scan
from panpan.ingest.sources import KnownSource, find_source
from panpan.local import n8n
from panpan.settings import Settings

POLL_SECONDS = 0.3
FINISHED = ("loaded", "refused", "duplicate", "failed")
RECEIVED = (*FINISHED, "received")

LOAD_COLUMNS = "load_id, source, status, row_count, execution_id, file_name, entity, reason"


@dataclass(frozen=True)
class LoadReport:
    """What became of one load: of a file, or of a pull of one endpoint."""

    load_id: int
    source: str
    status: str
    rows: int | None
    execution_id: str | None
    file: str | None
    entity: str | None
    reason: str | None

    @property
    def is_bad(self) -> bool:
        """Whether it brought nothing although it should have."""
        return self.status in ("failed", "refused")


@dataclass(frozen=True)
class SourceStatus:
    """How a source stands. Ages are seconds; None where there was never a load or a record."""

    source: str
    kind: str
    last_load_id: int | None
    last_status: str | None
    last_load_at: datetime | None
    age_seconds: float | None
    last_record_at: datetime | None
    record_age_seconds: float | None
    open_loads: int
    failed_since_last_success: int
    waiting_files: int
    reason: str | None


def run_source(
    settings: Settings,
    source: str,
    *,
    run_key: str | None = None,
    wait: bool = True,
    files: Collection[Path] | None = None,
) -> list[LoadReport]:
    """
    Let n8n load a source now and wait until the worker is through with the loads (or, `wait=False`, until
    they are received).

    A source of files gives what waits in its inbox; `files` says whose loads are meant, all others load too.
    Gives one report per load, none when nothing waited.
    Errors: UsageError for an unknown source; ServerError when n8n can't be reached; IngestError when another
    run of the source is under way, a file can't be delivered, or the worker takes too long.
    """
    with connect(settings, "transformer") as connection:
        known = find_source(connection, source)
    key = run_key or str(uuid.uuid4())
    if known.kind == "api":
        _pull(settings, known, key)
        load_ids = _loads_of_run(settings, key)
    else:
        load_ids = _deliver_files(settings, known, key, files)
    return _await_loads(settings, source, load_ids, FINISHED if wait else RECEIVED)


def await_all(settings: Settings, load_ids: Collection[int]) -> list[LoadReport]:
    """
    Wait until nothing is under way: the given loads are through, and so are those of runs of the worker's own.

    Gives the reports of the given loads.
    Errors: IngestError when the worker takes too long.
    """
    deadline = time.monotonic() + settings.ingest_timeout_seconds
    while time.monotonic() < deadline:
        reports = load_reports(settings, load_ids)
        if all(report.status in FINISHED for report in reports) and not _is_anything_waiting(settings):
            return reports
        time.sleep(POLL_SECONDS)
    raise IngestError(
        f"loading took longer than {settings.ingest_timeout_seconds} seconds",
        cause="a file still waits or a load is still under way",
        next=f"see {settings.logs / 'worker.log'}, then bin/panpan ingest status",
    )


def backfill(
    settings: Settings, source: str, window_from: datetime, window_to: datetime, *, wait: bool = True
) -> list[LoadReport]:
    """
    Pull once what changed at a source in a window of time; the watermark stays where it is.

    A second backfill of the same window brings the same records, which changes nothing further on.
    Errors: UsageError for sources of files or of snapshots only, for an empty window, and as run_source.
    """
    if window_from >= window_to:
        raise UsageError(f"the window from {window_from} to {window_to} is empty", next="give FROM before TO")
    key = str(uuid.uuid4())
    with connect(settings, "transformer") as connection:
        known = find_source(connection, source)
        if known.kind != "api":
            raise UsageError(
                f"{source} can't be asked for a window of time",
                cause="its files are dropped into the inbox, each with the window it was exported for",
                next=f"export the window again, then bin/panpan ingest drop FILE --source {source}",
            )
        with connection.cursor() as cursor:
            cursor.execute(
                "insert into ops.requested_windows (run_key, source, window_from, window_to) values (%s, %s, %s, %s)",
                (key, source, window_from, window_to),
            )
    return run_source(settings, source, run_key=key, wait=wait)


def trigger_waiting(settings: Settings) -> None:
    """Let n8n take files that wait, of any source, one call's worth: the worker need not wait for n8n."""
    n8n.trigger(settings, "pos-files", {"run_key": str(uuid.uuid4())})


def source_status(settings: Settings) -> list[SourceStatus]:
    """How every source stands, judged from its loads and records."""
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            select
                s.source,
                s.settings ->> 'kind',
                last.load_id,
                last.status,
                coalesce(last.finished_at, last.received_at, last.started_at),
                extract(
                    epoch from now() - coalesce(last.finished_at, last.received_at, last.started_at)
                )::float8,
                newest.record_at,
                extract(epoch from now() - newest.record_at)::float8,
                coalesce(counts.open_loads, 0),
                coalesce(counts.failed, 0),
                (select count(*) from ops.inbox_files as f where f.source = s.source and f.state = 'waiting'),
                last.reason
            from ops.source_settings as s
            left join lateral (
                select l.* from ops.loads as l where l.source = s.source order by l.load_id desc limit 1
            ) as last on true
            left join lateral (
                select max(l.newest_record_at) as record_at
                from ops.loads as l
                where l.source = s.source and l.status in ('received', 'loaded')
            ) as newest on true
            left join lateral (
                select
                    count(*) filter (where l.status in ('open', 'received')) as open_loads,
                    count(*) filter (where l.status in ('failed', 'refused') and l.load_id > coalesce((
                        select max(g.load_id) from ops.loads as g
                        where g.source = s.source and g.entity is not distinct from l.entity
                            and g.status = 'loaded'
                    ), 0)) as failed
                from ops.loads as l
                where l.source = s.source
            ) as counts on true
            where s.settings ->> 'kind' <> 'retired'
            order by s.source
            """
        )
        return [SourceStatus(*row) for row in cursor.fetchall()]


def _pull(settings: Settings, known: KnownSource, run_key: str) -> None:
    """
    Call the workflow; a failed load makes it fail, which the loads say better than n8n's answer.

    Errors: UsageError when nobody has said where the API is.
    """
    if not known.has_address:
        raise UsageError(
            f"{known.source} has no address",
            cause="no setting says where its API is, and the simulated systems are not in use",
            next=f"set PANPAN_{known.source.upper()}_URL, or try it out with bin/panpan up --simulate",
        )
    answer: dict[str, object] = {}
    failure: IngestError | None = None
    try:
        answer = n8n.trigger(settings, known.webhook, {"run_key": run_key, "source": known.source})
    except IngestError as error:
        failure = error
    if _loads_of_run(settings, run_key):
        return
    if failure is not None:
        raise failure
    if answer.get("status") == "busy":
        raise RunUnderWay(
            f"another run of {known.source} is under way",
            cause="two at once would ask the source for the same pages",
            next="wait until it is over: bin/panpan ingest status",
        )


def _deliver_files(settings: Settings, known: KnownSource, run_key: str, files: Collection[Path] | None) -> list[int]:
    wanted = _settled_files(settings, known.source, files)
    file_ids = [file.file_id for file in wanted]
    left = _undelivered(settings, file_ids)
    while left:
        failure: IngestError | None = None
        try:
            n8n.trigger(settings, known.webhook, {"run_key": run_key, "source": known.source})
        except IngestError as error:
            failure = error
        before, left = left, _undelivered(settings, file_ids)
        if left == before:
            raise failure or IngestError(
                f"n8n took none of {len(left)} waiting files of {known.source}",
                cause="see the workflow pos_files_to_raw in n8n's editor",
                next="bin/panpan ingest status",
            )
    with connect(settings, "transformer") as connection:
        archive_taken(connection, settings)
    return _loads_of_files(settings, file_ids)


def _settled_files(settings: Settings, source: str, files: Collection[Path] | None) -> list[InboxFile]:
    """The registered files of a source. Files asked for by name are waited for until they are registered."""
    deadline = time.monotonic() + 30
    while True:
        with connect(settings, "transformer") as connection:
            found: Scan = scan(connection, settings)
        waiting = [file for file in found.waiting if file.source == source]
        if files is None:
            return waiting
        asked = {file.absolute() for file in files}
        waiting = [file for file in waiting if file.path.absolute() in asked]
        taken = _taken_files(settings, asked - {file.path.absolute() for file in waiting})
        if len(waiting) + len(taken) >= len(asked) or time.monotonic() > deadline:
            return [*waiting, *taken]
        time.sleep(POLL_SECONDS)


def _taken_files(settings: Settings, paths: Collection[Path]) -> list[InboxFile]:
    """Files somebody else's run has taken between drop and now."""
    relative = [str(path.relative_to(settings.home.absolute())) for path in paths]
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            "select distinct on (path) file_id, source, path, byte_count from ops.inbox_files"
            " where path = any(%s) and state = 'taken' order by path, file_id desc",
            (relative,),
        )
        return [InboxFile(row[0], row[1], settings.home / row[2], row[3]) for row in cursor.fetchall()]


def _undelivered(settings: Settings, file_ids: Collection[int]) -> set[int]:
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            "select file_id from ops.inbox_files where state = 'waiting' and file_id = any(%s)",
            (list(file_ids),),
        )
        return {row[0] for row in cursor.fetchall()}


def _is_anything_waiting(settings: Settings) -> bool:
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute("select exists (select from ops.loads where status in ('open', 'received'))")
        return cursor.fetchone() == (True,) or bool(scan(connection, settings).waiting)


def _loads_of_files(settings: Settings, file_ids: Collection[int]) -> list[int]:
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            "select distinct load_id from ops.inbox_files where load_id is not null and file_id = any(%s)",
            (list(file_ids),),
        )
        return [row[0] for row in cursor.fetchall()]


def _loads_of_run(settings: Settings, run_key: str) -> list[int]:
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute("select load_id from ops.loads where run_key = %s order by load_id", (run_key,))
        return [row[0] for row in cursor.fetchall()]


def _await_loads(
    settings: Settings, source: str, load_ids: Collection[int], statuses: Collection[str]
) -> list[LoadReport]:
    deadline = time.monotonic() + settings.ingest_timeout_seconds
    while True:
        reports = load_reports(settings, load_ids)
        waiting = [report for report in reports if report.status not in statuses]
        if not waiting:
            return reports
        if time.monotonic() > deadline:
            listed = ", ".join(f"{report.load_id} ({report.status})" for report in waiting)
            raise IngestError(
                f"loads of {source} took longer than {settings.ingest_timeout_seconds} seconds",
                cause=f"still waiting for load {listed}",
                next="bin/panpan status shows whether the worker runs",
            )
        time.sleep(POLL_SECONDS)


def load_reports(settings: Settings, load_ids: Collection[int]) -> list[LoadReport]:
    """What became of some loads, in their order."""
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            f"select {LOAD_COLUMNS} from ops.loads where load_id = any(%s) order by load_id",  # noqa: S608  # our own column names
            (list(load_ids),),
        )
        return [LoadReport(*row) for row in cursor.fetchall()]
