"""
The whole flow on simulated sources: servers up, files dropped, APIs pulled by n8n, model built, figures read.

Comes in: a home folder. Goes out: a Demo report. A second demo on the same home drops and pulls only what is new.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg2 import sql

from db.connection import connect
from panpan import shortage
from panpan.errors import IngestError, RunUnderWay
from panpan.ingest import inbox, run
from panpan.local import metabase, n8n, n8n_install, stack
from panpan.settings import Settings
from panpan.simulate import pos
from panpan.simulate.catalogue import START
from panpan.simulate.world import World
from transforms.compiler import Query, compile_query, evaluate
from transforms.goals import refresh_goals
from transforms.metrics import Metric, load_metrics
from transforms.periods import business_today
from transforms.quality.watch import check_news
from transforms.reconcile import refresh as refresh_reconciliations
from transforms.sales_forecast import refresh_forecast

SOURCES = ("pos", "pos_api", "crm", "inventory")
AGAIN_SECONDS = 2.0
SCHEMAS = {"raw": ("raw_pos", "raw_crm", "raw_inventory"), "core": ("core",), "marts": ("marts",)}

Step = Callable[[str], AbstractContextManager[Any]]


@dataclass
class Demo:
    """What it did, where to look: URLs, rows per table, metric values, loads, subjects of mails, seconds per step."""

    urls: dict[str, str]
    n8n_version: str
    loads: list[run.LoadReport]
    tables: dict[str, dict[str, int]]
    metrics: dict[str, Any]
    mails: list[str]
    seconds: dict[str, float] = field(default_factory=dict)


def run_demo(settings: Settings, step: Step) -> Demo:
    """
    Bring everything up and through the flow.

    Errors: ServerError when a server does not start; IngestError when a load fails.
    """
    seconds: dict[str, float] = {}
    with _timed(seconds, "install"), step("installing n8n"):
        n8n_install.install(settings)
    with _timed(seconds, "start"):
        stack.up(settings, simulate=True, step=step)
    world = World()
    with _timed(seconds, "ingest"), step("dropping the POS exports of the stores into the inbox"):
        drop_exports(settings, world)
    day = shortage.shortage_day(world) if shortage.is_untouched(settings) else None
    loads = []
    if day is not None:
        with shortage.alerts_held(settings):
            shortage.show_sources_until(settings, day)
            loads += load_everything(settings, step, seconds)
            shortage.judge_at_the_end_of(settings, day)
            shortage.show_sources_until(settings, world.until)
            loads += load_everything(settings, step, seconds)
            shortage.judge_at_the_end_of(settings, world.until)
        shortage.send_weekly_report(settings)
    else:
        loads += load_everything(settings, step, seconds)
    with _timed(seconds, "transform"), step("checks, goals, reconciliations, forecasts and alerts are made"):
        follow_run(settings)
    with step("the mails are sent"):
        mails = shortage.deliver(settings)
    addresses = {"dashboards": settings.web_port, "n8n": settings.n8n_port}
    if metabase.daemon(settings).process() is not None:
        addresses["metabase"] = settings.metabase_port or 0
    return Demo(
        urls={
            **{name: f"http://127.0.0.1:{port}/" for name, port in addresses.items()},
            "mails": f"http://127.0.0.1:{settings.web_port}/mails",
        },
        n8n_version=n8n.version(settings),
        loads=loads,
        tables={layer: count_rows(settings, schemas) for layer, schemas in SCHEMAS.items()},
        metrics=metric_values(settings),
        mails=mails,
        seconds=seconds,
    )


def load_everything(settings: Settings, step: Step, seconds: dict[str, float]) -> list[run.LoadReport]:
    """
    What all sources have to tell now, through n8n and into the model.

    Errors: IngestError when a load fails.
    """
    loads = []
    with _timed(seconds, "ingest"):
        for source in SOURCES:
            with step(f"n8n loads {source}"):
                loads += load(settings, source)
    with _timed(seconds, "transform"), step("the worker builds the model"):
        loads = run.await_all(settings, [load.load_id for load in loads])
    refuse_failed(loads)
    return loads


def drop_exports(settings: Settings, world: World) -> list[Path]:
    """Write the simulated tills' exports and drop those into the inbox that were never taken."""
    folder = settings.home / "simulated" / "pos_exports"
    pos.write_exports(folder, START, world.until, world)
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute("select sha256 from ops.inbox_files where source = 'pos'")
        seen = {bytes(sha256) for (sha256,) in cursor.fetchall()}
    files = [file for file in sorted(folder.glob("*.csv")) if hashlib.sha256(file.read_bytes()).digest() not in seen]
    for file in files:
        inbox.drop(settings, file, "pos")
    return files


def load(settings: Settings, source: str) -> list[run.LoadReport]:
    """
    The loads of one source, after whatever n8n's own schedule began: on a slow machine it comes first.

    Errors: IngestError when a load fails, RunUnderWay when the other run does not end.
    """
    deadline = time.monotonic() + settings.ingest_timeout_seconds
    while True:
        try:
            return run.run_source(settings, source, wait=False)
        except RunUnderWay:
            if time.monotonic() > deadline:
                raise
            time.sleep(AGAIN_SECONDS)


def follow_run(settings: Settings) -> None:
    """
    Checks, goals, reconciliations, forecasts and alerts of what has arrived. The worker makes them too, soon after; the
    demo's figures are read now. A second call changes none of them.
    """
    today = business_today(settings)
    check_news(settings)
    refresh_goals(settings, today)
    refresh_reconciliations(settings, today)
    refresh_forecast(settings, today)
    shortage.judge_now(settings)


def refuse_failed(loads: list[run.LoadReport]) -> None:
    """A demo in which a load failed is no success."""
    bad = [load for load in loads if load.is_bad]
    if bad:
        raise IngestError(
            f"{len(bad)} of {len(loads)} loads failed",
            cause="; ".join(f"{load.source} {load.file or load.entity}: {load.reason}" for load in bad[:3]),
            next="bin/panpan ingest status",
        )


def count_rows(settings: Settings, schemas: tuple[str, ...]) -> dict[str, int]:
    """Rows of every table of some schemas: schema.table -> count."""
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            "select table_schema, table_name from information_schema.tables where table_schema = any(%s) order by 1, 2",
            (list(schemas),),
        )
        counts = {}
        for schema, table in cursor.fetchall():
            cursor.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(schema, table)))
            [(count,)] = cursor.fetchall()
            counts[f"{schema}.{table}"] = int(count)
    return counts


def metric_values(settings: Settings) -> dict[str, Any]:
    """Every metric over the whole time of the simulated sources: name -> value."""
    values: dict[str, Any] = {}
    for name, metric in load_metrics().items():
        if metric.needs_one_of:
            values[name] = values_by(settings, metric, metric.needs_one_of[-1])
        elif "channel" in metric.dimensions:  # of sales; other figures are of one source each
            values[name] = {source: one_value(settings, metric, {"source": source}) for source in ("pos", "pos_api")}
        else:
            values[name] = one_value(settings, metric, {})
    return values


def one_value(settings: Settings, metric: Metric, where: dict[str, str]) -> Any:
    """A metric over all time and the given filters; None where nothing is known."""
    rows = evaluate(settings, compile_query(Query(metric.name, where=where), business_today(settings))).rows
    return rows[0]["value"] if rows else None


def values_by(settings: Settings, metric: Metric, dimension: str) -> dict[str, Any]:
    """A metric over all time by one dimension: its value -> figure."""
    plan = compile_query(Query(metric.name, (dimension,)), business_today(settings))
    return {str(row[dimension]): row["value"] for row in evaluate(settings, plan).rows}


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[name] = round(seconds.get(name, 0) + time.monotonic() - started, 1)
