"""
Tables taken away as Parquet files, with a manifest that says what was taken; and what was taken looked at again.

Comes in: settings, names of tables, a moment or none. Goes out: a folder with a file per table and manifest.json, whole
or not there at all; later what in it is not as it was written, and what the database says of the same moment.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection  # the driver's own name is too plain
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backups.stream import sha256_of, sync_path
from db.connection import connect
from panpan.errors import CheckFailed, UsageError
from panpan.governance.graph import Graph, load_graph, upstream
from panpan.settings import Settings
from panpan.version import own_version
from transforms.asof import MARTS, marts_as_of
from transforms.columnar import Description, describe, totals_in_database, totals_of_file, write_parquet
from transforms.metrics import load_metrics

MANIFEST = "manifest.json"
NO_PAST = "it can't be made again as of a moment"
NEWEST_LOADS = """
select distinct on (load.source) load.load_id, load.source, load.received_at
from ops.runs as run
cross join lateral unnest(run.load_ids) as taken (load_id)
inner join ops.loads as load on taken.load_id = load.load_id
where run.status = 'done' and load.status = 'loaded' and run.known_at <= %s
order by load.source, load.load_id desc
"""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class ExportedColumn(_Frozen):
    """A column of a file: its type in PostgreSQL's words, its meaning."""

    name: str
    type: str
    comment: str


class Load(_Frozen):
    """A load the figures stand on."""

    load_id: int
    source: str
    received_at: datetime


class MetricOfTable(_Frozen):
    """A metric that is made from a table: by which version of its definition, and who answers for it."""

    name: str
    version: int
    owner: str


class ExportedFile(_Frozen):
    """One table as it was written. newest_load: of all sources that feed the table; None before the first."""

    file: str = Field(pattern=r"^\w+\.\w+\.parquet$")  # a name in the folder, never a path out of it
    table: str
    grain: str
    keys: list[str]
    rows: int
    columns: list[ExportedColumn]
    sha256: str
    bytes: int
    newest_load: Load | None
    metrics: list[MetricOfTable]


class LeftOut(_Frozen):
    """A table that is not in the export, and why."""

    table: str
    reason: str


class LogHead(_Frozen):
    """The end of the chain of definitions: panpan changes log."""

    change_id: int
    hash: str


class Manifest(_Frozen):
    """
    What was taken.

    as_of: the marts say what was known at this moment; of an export of now, when the newest of it became known.
    read_as: the role of the database that read.
    """

    format: Literal[1] = 1
    taken_at: datetime
    as_of: datetime
    read_as: str
    panpan_version: str
    change_log_head: LogHead | None
    files: list[ExportedFile]
    left_out: list[LeftOut]


@dataclass(frozen=True)
class Export:
    """A folder with its manifest, and the hash of this: whoever notes it elsewhere can prove the whole."""

    folder: Path
    manifest: Manifest
    manifest_sha256: str


@dataclass(frozen=True)
class Finding:
    """A file that is not as the manifest says."""

    file: str
    says: str


@dataclass(frozen=True)
class Comparison:
    """A file's rows and sums and the database's, as far as they differ: name -> both. reason: why not compared."""

    table: str
    differences: dict[str, tuple[str, str]]
    reason: str | None = None

    @property
    def outcome(self) -> str:
        if self.reason:
            return f"not compared: {self.reason}"
        said = (f"{name} {then}, database {now}" for name, (then, now) in self.differences.items())
        return "; ".join(said) or "the same rows and sums"


@dataclass(frozen=True)
class _Moment:
    """What the database knows of the moment that is read: the newest load of each source among it."""

    taken_at: datetime
    as_of: datetime
    change_log_head: LogHead | None
    newest_loads: dict[str, Load]


# --- taken away ----------------------------------------------------------------------------------------------------


def export(
    settings: Settings,
    folder: Path,
    names: Sequence[str] = (),
    as_of: datetime | None = None,
) -> Export:
    """
    Write tables (all marts when none is named) as Parquet files of one moment into a folder that is new or empty.

    Errors: UsageError for a folder in use, an unknown table, one the role may not read, a moment ahead.
    """
    target = _free(folder)
    if as_of and as_of > datetime.now(UTC):
        raise UsageError(f"{as_of.isoformat()} lies ahead", cause="nobody knows yet what will be known then")
    with connect(settings, "bi") as connection:
        chosen = _chosen(describe(connection), names)
    tables = [each for each in chosen if as_of is None or _has_past(each.table)]
    if not tables:
        raise UsageError("nothing of this can be given as of a moment", cause=NO_PAST, next="leave --as-of out")
    graph = load_graph(settings)
    with _becoming(target) as part, _reading(settings, tables, as_of) as connection:
        moment = _moment(settings, connection, as_of)
        files = []
        for each in tables:
            file = part / f"{each.table}.parquet"
            rows = write_parquet(connection, each, _place(each.table, as_of), file)
            files.append(_written(each, file, rows, _newest_load(graph, each.table, moment.newest_loads)))
        manifest = Manifest(
            taken_at=moment.taken_at,
            as_of=moment.as_of,
            read_as="bi" if as_of is None else "transformer",
            panpan_version=own_version(),
            change_log_head=moment.change_log_head,
            files=files,
            left_out=[LeftOut(table=each.table, reason=NO_PAST) for each in chosen if each not in tables],
        )
        (part / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return Export(target, manifest, sha256_of(target / MANIFEST))


def _free(folder: Path) -> Path:
    target = folder.resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is in use", cause="an export never overwrites", next="name a new folder")
    return target


def _chosen(known: Sequence[Description], names: Sequence[str]) -> list[Description]:
    """The tables of some names, a mart's also without its schema; all marts where there are none."""
    readable = {each.table: each for each in known if each.is_readable}
    if not names:
        return [each for each in readable.values() if each.schema == "marts"]
    wanted = dict.fromkeys(name if "." in name else f"marts.{name}" for name in names)
    if hidden := [each for each in known if each.table in wanted and not each.is_readable]:
        masked = [shown for each in hidden if (shown := f"masked.{each.name}") in readable]
        raise UsageError(
            f"{', '.join(each.table for each in hidden)} can't be exported",
            cause="the role that dashboards read with may not read it",
            next=f"with people's columns masked: {', '.join(masked)}" if masked else None,
        )
    if unknown := [name for name in wanted if name not in readable]:
        raise UsageError(f"there is no table {', '.join(unknown)} to export", cause=f"known: {', '.join(readable)}")
    return [readable[name] for name in wanted]


def _has_past(table: str) -> bool:
    schema, _, name = table.partition(".")
    return schema == "marts" and name in MARTS


def _place(table: str, as_of: datetime | None) -> sql.Identifier:
    """Where a table's rows are read: itself, or the mart made again as of the moment."""
    schema, _, name = table.partition(".")
    return sql.Identifier(schema, name) if as_of is None else sql.Identifier("pg_temp", f"remade_{name}")


@contextmanager
def _reading(settings: Settings, tables: Sequence[Description], as_of: datetime | None) -> Iterator[PgConnection]:
    """One snapshot of the tables. Made again as of a moment they can only be by the worker's role."""
    if as_of is not None:
        with marts_as_of(settings, as_of, [each.name for each in tables]) as connection:
            yield connection
        return
    with connect(settings, "bi") as connection, connection.cursor() as cursor:
        # The limit is there for dashboards; the rows of a large view take longer to be put in order.
        cursor.execute("set transaction isolation level repeatable read, read only; set local statement_timeout = 0")
        yield connection


def _moment(settings: Settings, connection: PgConnection, as_of: datetime | None) -> _Moment:
    """In the same snapshot, which the auditor looks at: dashboards may not read of loads and runs."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_export_snapshot(), now()")
        [(snapshot, taken_at)] = cursor.fetchall()
    with connect(settings, "auditor") as beside, beside.cursor() as cursor:
        cursor.execute("set transaction isolation level repeatable read, read only")
        cursor.execute("set transaction snapshot %s", (snapshot,))
        cursor.execute("select change_id, entry_hash from ops.change_log order by change_id desc limit 1")
        head = cursor.fetchone()
        cursor.execute("select coalesce(max(known_at), now()) from ops.runs")
        [(known_at,)] = cursor.fetchall()
        cursor.execute(NEWEST_LOADS, (as_of or known_at,))
        loads = [Load(load_id=number, source=source, received_at=at) for number, source, at in cursor.fetchall()]
    return _Moment(
        taken_at,
        as_of or known_at,
        LogHead(change_id=head[0], hash=head[1]) if head else None,
        {load.source: load for load in loads},
    )


def _newest_load(graph: Graph, table: str, loads: Mapping[str, Load]) -> Load | None:
    """The newest of the sources that feed a table, a masked one as the table of core that it shows."""
    above = upstream(graph, table.replace("masked.", "core.")).values()
    feeding = [loads[node.name] for node in above if node.layer == "source" and node.name in loads]
    return max(feeding, key=lambda load: load.load_id, default=None)


def _written(described: Description, file: Path, rows: int, newest_load: Load | None) -> ExportedFile:
    return ExportedFile(
        file=file.name,
        table=described.table,
        grain=described.grain,
        keys=list(described.keys),
        rows=rows,
        columns=[ExportedColumn(**vars(column)) for column in described.columns],
        sha256=sha256_of(file),
        bytes=file.stat().st_size,
        newest_load=newest_load,
        metrics=[
            MetricOfTable(name=metric.name, version=metric.version, owner=metric.owner)
            for metric in load_metrics().values()
            if described.table in {f"marts.{reading.mart}" for reading in metric.readings}
        ],
    )


@contextmanager
def _becoming(target: Path) -> Iterator[Path]:
    """A folder beside the target, which gets its name when all is in it and on the disk; else nothing is left."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    try:
        yield part
        for each in (*part.iterdir(), part):
            sync_path(each)
        part.rename(target)  # refused where something came into the target meanwhile
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    sync_path(target.parent)


# --- looked at again -----------------------------------------------------------------------------------------------


def read_export(folder: Path) -> Export:
    """An export as its manifest tells it. Errors: CheckFailed when there is no manifest, or none that can be read."""
    file = folder / MANIFEST
    if not file.is_file():
        raise CheckFailed(f"{folder} is no whole export", cause=f"{MANIFEST} is missing")
    try:
        manifest = Manifest.model_validate_json(file.read_bytes())
    except ValidationError as error:
        raise CheckFailed(f"{file} can't be read", cause=str(error)) from error
    return Export(folder, manifest, sha256_of(file))


def findings(taken: Export) -> list[Finding]:
    """Each file that differs, is missing or does not belong there; empty when all is as it was written."""
    listed = {MANIFEST, *(each.file for each in taken.manifest.files)}
    strangers = sorted(file.name for file in taken.folder.iterdir() if file.name not in listed)
    return [
        *(Finding(each.file, says) for each in taken.manifest.files if (says := _fault(taken.folder, each))),
        *(Finding(name, "does not belong to the export") for name in strangers),
    ]


def _fault(folder: Path, written: ExportedFile) -> str | None:
    file = folder / written.file
    if not file.is_file():
        return "is missing"
    if sha256_of(file) != written.sha256:
        return "was changed"
    rows = int(totals_of_file(file)["rows"])
    return f"has {rows} rows, the manifest says {written.rows}" if rows != written.rows else None


def compare(settings: Settings, taken: Export) -> list[Comparison]:
    """
    Rows and sums of every file and of the database as of the same moment, for the marts it can make again.

    Marts are made again by the selects of today: where these changed since, that is a difference too.
    """
    manifest = taken.manifest
    marts = [each.table.removeprefix("marts.") for each in manifest.files if _has_past(each.table)]
    with marts_as_of(settings, manifest.as_of, marts) as connection:
        return [
            _compared(connection, each.table, taken.folder / each.file, manifest.as_of)
            if _has_past(each.table)
            else Comparison(each.table, {}, NO_PAST)
            for each in manifest.files
        ]


def _compared(connection: PgConnection, table: str, file: Path, as_of: datetime) -> Comparison:
    then = totals_of_file(file)
    now = totals_in_database(connection, _place(table, as_of), list(then))
    return Comparison(
        table,
        {name: (str(total), str(now.get(name, "has none"))) for name, total in then.items() if now.get(name) != total},
    )
