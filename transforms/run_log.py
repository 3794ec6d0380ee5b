"""
The run log: what each run took, what it changed in the model, how long it was at it; and two runs compared.

Comes in: ops.runs, ops.loads, ops.rejects, and when each version of core and each published figure became known.
Goes out: runs as people and programs read them; nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg2 import sql
from psycopg2.extras import RealDictCursor

from db.connection import connect
from panpan.errors import UsageError
from panpan.settings import Settings
from transforms.tables import ALL_CORE


class Status(StrEnum):
    """How a run stands, in the words of ops.runs."""

    done = "done"
    blocked = "blocked"
    failed = "failed"
    running = "running"


@dataclass(frozen=True)
class Run:
    """
    One run: what it was, how it went, how many loads, rows and rejects it took.

    source is None for a run without loads, known_at for one that changed nothing because it failed. reason says why it
    failed, or why a load of it was refused.
    """

    run_id: int
    step: str
    source: str | None
    status: str
    reason: str | None
    rule_version: str | None
    known_at: datetime | None
    started_at: datetime
    finished_at: datetime | None
    seconds: float | None
    loads: int
    rows: int | None
    rejects: int | None

    @property
    def seconds_per_1000_rows(self) -> float | None:
        """How long 1,000 rows took; None where none were made."""
        return round(1000 * self.seconds / self.rows, 3) if self.seconds is not None and self.rows else None


@dataclass(frozen=True)
class Change:
    """Versions of one core table that a run opened or closed (action) for one cause."""

    table: str
    action: str
    cause: str
    versions: int


@dataclass(frozen=True)
class RunRecord:
    """All that is known of a run. rejects: number by reason. figures: published figures it changed, by metric."""

    run: Run
    loads: list[dict[str, Any]]
    rejects: dict[str, int]
    changes: list[Change]
    figures: dict[str, int]

    @property
    def changed_nothing(self) -> bool:
        return not self.changes and not self.figures

    @property
    def outcome(self) -> str:
        """What it did to the model, in a sentence."""
        name = f"run {self.run.run_id}"
        if self.run.known_at is None:
            return f"{name} left the model as it was: {self.run.reason or self.run.status}"
        if self.changed_nothing:
            return f"{name} changed nothing: no version of core was opened or closed, no published figure is another"
        opened, closed = (
            sum(change.versions for change in self.changes if change.action == action)
            for action in ("opened", "closed")
        )
        tables = len({change.table for change in self.changes})
        return (
            f"{name} opened {opened} and closed {closed} versions in {tables} tables of core, "
            f"and changed {sum(self.figures.values())} published figures"
        )


@dataclass(frozen=True)
class Difference:
    """One thing two runs differ in."""

    what: str
    a: Any
    b: Any


@dataclass(frozen=True)
class Comparison:
    """Two runs: what differs, what is the same, and what each did to the model in a sentence."""

    a: RunRecord
    b: RunRecord
    differences: list[Difference]
    same: dict[str, Any]


RUNS = """
select
    run.run_id, run.step, first.source, run.status, coalesce(run.error, refused.reason) as reason, run.rule_version,
    run.known_at, run.started_at, run.finished_at,
    round(extract(epoch from run.finished_at - run.started_at), 2)::double precision as seconds,
    cardinality(run.load_ids) as loads, run.row_count as rows, run.reject_count as rejects
from ops.runs as run
left join ops.loads as first on run.load_ids[1] = first.load_id  -- a batch is of one source
left join lateral (
    select min(load.reason) as reason
    from ops.loads as load
    where load.load_id = any(run.load_ids) and load.status = 'refused'
) as refused on true
where {condition}
order by run.run_id desc limit %(limit)s
"""
# Counts and status of a load are those of the run that took it last.
LOADS = """
with other_runs as (
    select
        taken.load_id,
        max(run.run_id) filter (where run.run_id < %(run_id)s) as taken_before_by,
        min(run.run_id) filter (where run.run_id > %(run_id)s) as taken_again_by
    from ops.runs as run
    cross join lateral unnest(run.load_ids) as taken (load_id)
    where run.run_id <> %(run_id)s and run.load_ids && (select load_ids from ops.runs where run_id = %(run_id)s)
    group by taken.load_id
)
select
    load.load_id, load.source, load.entity, load.file_name as file, load.window_from, load.window_to,
    load.document_count as documents, load.record_count as records, load.row_count as rows,
    load.reject_count as rejects, load.status, load.reason, load.workflow, load.execution_id,
    round(greatest(0, extract(epoch from load.received_at - load.started_at)), 2)::double precision as seconds_arriving,
    case when other_runs.taken_before_by is null then
        round(greatest(0, extract(epoch from run.started_at - load.received_at)), 2)::double precision
    end as seconds_waiting,
    other_runs.taken_before_by, other_runs.taken_again_by
from ops.runs as run
inner join ops.loads as load on load.load_id = any(run.load_ids)
left join other_runs on load.load_id = other_runs.load_id
where run.run_id = %(run_id)s
order by load.load_id
"""
# Those that were open when the run was over; a later run may have resolved some.
REJECTS = """
select reject.reason, count(*) as count
from ops.runs as run
inner join ops.rejects as reject on reject.load_id = any(run.load_ids)
where run.run_id = %(run_id)s
and reject.rejected_at <= run.known_at and (reject.resolved_at is null or reject.resolved_at > run.known_at)
group by reject.reason order by count desc, reject.reason
"""
FIGURES = """
select metric, count(*) as count
from marts.published_figures where known_at = %(known_at)s
group by metric order by metric
"""
# A version that was closed later was opened all the same.
CHANGES_OF_TABLE = """
select {name} as "table", 'opened' as action, change_cause as cause, count(*) as versions
from {current} where known_from = %(known_at)s group by change_cause
union all
select {name}, 'opened', change_cause, count(*)
from {closed} where known_from = %(known_at)s group by change_cause
union all
select {name}, 'closed', closed_cause, count(*)
from {closed} where known_to = %(known_at)s group by closed_cause
"""


def runs(settings: Settings, source: str | None = None, status: Status | None = None, limit: int = 20) -> list[Run]:
    """The runs of a source and status, the newest first."""
    with _reading(settings) as cursor:
        return _runs(
            cursor,
            "(%(source)s::text is null or first.source = %(source)s)"
            " and (%(status)s::text is null or run.status = %(status)s)",
            {"source": source, "status": status, "limit": limit},
        )


def find_run(settings: Settings, run_id: int) -> RunRecord:
    """All that is known of one run. Errors: UsageError when there is none of this number."""
    with _reading(settings) as cursor:
        return _record(cursor, run_id)


def compare_runs(settings: Settings, a: int, b: int) -> Comparison:
    """Two runs and what they differ in. Errors: UsageError when there is none of such a number."""
    with _reading(settings) as cursor:
        one, other = _record(cursor, a), _record(cursor, b)
    of_one, of_other = _facts(one), _facts(other)
    # What only one of them has is a count: the other has none of it.
    whats = dict.fromkeys([*of_one, *of_other])
    pairs = [Difference(what, of_one.get(what, 0), of_other.get(what, 0)) for what in whats]
    return Comparison(
        one,
        other,
        differences=[pair for pair in pairs if pair.a != pair.b],
        same={pair.what: pair.a for pair in pairs if pair.a == pair.b},
    )


def _facts(record: RunRecord) -> dict[str, Any]:
    run = record.run
    return {
        "step": run.step,
        "source": run.source,
        "status": run.status,
        "rule version": run.rule_version,
        "loads": run.loads,
        "rows": run.rows,
        "rejects": run.rejects,
        "seconds": run.seconds,
        "seconds per 1,000 rows": run.seconds_per_1000_rows,
        **{f"rejected: {reason}": count for reason, count in record.rejects.items()},
        **{f"{each.table}, {each.action}: {each.cause}": each.versions for each in record.changes},
        **{f"published figures of {metric}": count for metric, count in record.figures.items()},
    }


@contextmanager
def _reading(settings: Settings) -> Iterator[RealDictCursor]:
    """One moment of the log, which is only read."""
    with (
        connect(settings, "transformer") as connection,
        connection.cursor(cursor_factory=RealDictCursor) as cursor,
    ):
        cursor.execute("set transaction isolation level repeatable read, read only")
        yield cursor


def _runs(cursor: RealDictCursor, condition: str, parameters: dict[str, Any]) -> list[Run]:
    cursor.execute(RUNS.format(condition=condition), parameters)
    return [Run(**row) for row in cursor.fetchall()]


def _record(cursor: RealDictCursor, run_id: int) -> RunRecord:
    parameters = {"run_id": run_id}
    found = _runs(cursor, "run.run_id = %(run_id)s", {**parameters, "limit": 1})
    if not found:
        raise UsageError(f"there is no run {run_id}", cause=_known(cursor), next="bin/panpan runs list")
    [run] = found
    cursor.execute(LOADS, parameters)
    loads = [dict(row) for row in cursor.fetchall()]
    cursor.execute(REJECTS, parameters)
    rejects = {row["reason"]: row["count"] for row in cursor.fetchall()}
    moment = {"known_at": run.known_at}
    cursor.execute(FIGURES, moment)
    figures = {row["metric"]: row["count"] for row in cursor.fetchall()}
    return RunRecord(run, loads, rejects, _changes(cursor, moment), figures)


def _known(cursor: RealDictCursor) -> str:
    cursor.execute("select count(*) as count, min(run_id) as first, max(run_id) as last from ops.runs")
    [log] = cursor.fetchall()
    if not log["count"]:
        return "the log is empty"
    return (
        f"the log has {log['count']} runs, numbered {log['first']} to {log['last']};"
        " a try that was taken back leaves a gap"
    )


def _changes(cursor: RealDictCursor, moment: dict[str, Any]) -> list[Change]:
    """Every table's changes at a moment, in the order in which tables are filled."""
    parts = [
        sql.SQL(CHANGES_OF_TABLE).format(name=sql.Literal(table.name), current=table.identifier, closed=table.versions)
        for table in ALL_CORE
    ]
    statement = sql.SQL(
        """
        select "table", action, cause, sum(versions)::bigint as versions from ({}) as part
        group by "table", action, cause order by array_position(%(tables)s, "table"), action desc, cause
        """
    ).format(sql.SQL(" union all ").join(parts))
    cursor.execute(statement, {**moment, "tables": [table.name for table in ALL_CORE]})
    return [Change(**row) for row in cursor.fetchall()]
