"""
What a refresh of 1,000 new lines costs on histories of different length.

Comes in: lengths in lines. Goes out: seconds of each refresh and the ratio of their medians. The first days are loaded
by the transforms themselves; the years before are copies of them written straight into core and marts (other ids, days,
customers; no raw records, which a refresh does not read), with foreign keys and indexes put back afterwards.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection

from benchmarks import scratch
from benchmarks.load import Talk
from benchmarks.measure import load_average, machine, processor_seconds
from db.connection import connect
from panpan.settings import Settings
from panpan.simulate.big_export import big_export
from transforms.run import run

BASE_LINES = 94_000  # ten days
BASE_DAYS = 10
NEW_LINES = 1000
COPIES_AT_ONCE = 10

# A column of a copied row: its own value, but for keys and days. `copy` counts the copies.
_SHIFTED = {
    "sale_id": "md5({0}::text || '/' || copy)::uuid",
    "customer_id": "md5({0}::text || '/' || copy)::uuid",
    "receipt_number": "{0} || '/' || copy",
    "payment_reference": "{0} || '/' || copy",
    "source_payment_id": "{0} || '/' || copy",
    "source_customer_id": "{0} || '/' || copy",
    "business_date": "{0} - copy * %(days)s",
    "first_purchase_on": "{0} - copy * %(days)s",
    "sold_at": "{0} - copy * %(days)s * interval '1 day'",
    "told_at": "{0} - copy * %(days)s * interval '1 day'",
    "reached_at": "{0} - copy * %(days)s * interval '1 day'",
    "reached_on": "{0} - copy * %(days)s",
    "entered_on": "{0} - copy * %(days)s",
    "event_id": "md5({0}::text || '/' || copy)::uuid",
    "subject_id": "md5({0}::text || '/' || copy)::uuid",
    "value": "{0} || '/' || copy",
    "match_key": "{0} || '/' || copy",
    "valid_from": "{0} - copy * %(days)s * interval '1 day'",
    "raw_id": "{0} - copy * 1000000",
}
_COPIED = (
    ("core", "customers"),
    ("core", "customer_sources"),
    ("core", "customer_facts"),
    ("core", "sales"),
    ("core", "sale_lines"),
    ("core", "payments"),
    ("core", "funnel_events"),
    ("marts", "daily_store_sales"),
    ("marts", "daily_product_sales"),
    ("marts", "daily_customers"),
    ("marts", "published_figures"),
)
_SUMMED_MARTS = ("monthly_store_sales", "customer_activity")


@dataclass
class Refreshes:
    """The refreshes on one history: its length in lines and receipts, seconds and processor seconds of each refresh."""

    lines: int
    receipts: int
    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)
    load: float = 0.0


def bench_refresh(lengths: Sequence[int], times: int, talk: Talk) -> dict[str, Any]:
    """Measure the refreshes on each length, shortest first; one history grows, so the last is the longest."""
    with scratch.scratch_server() as server:
        settings = scratch.fresh_database(server)
        talk(f"loading {BASE_LINES} lines by the transforms")
        file = server.home / "base.csv"
        big_export(file, BASE_LINES)
        scratch.register_file(settings, file)
        run(settings)
        _keep_base(settings)
        found: list[Refreshes] = []
        copies, seed = 0, 100
        for length in sorted(lengths):
            wanted = max(0, round(length / BASE_LINES) - 1)
            if wanted > copies:
                started = time.monotonic()
                talk(f"growing the history to {(wanted + 1) * BASE_LINES} lines")
                _grow(settings, copies + 1, wanted)
                copies = wanted
                talk(f"grown in {time.monotonic() - started:.0f} s")
            found.append(_counted(settings))
            for number in range(times + 1):
                seed += 1
                seconds, used = _refresh(settings, seed)
                if number:  # the first one warms caches up and is not counted
                    found[-1].seconds.append(seconds)
                    found[-1].processor_seconds.append(used)
            found[-1].load = load_average()
            talk(f"{found[-1].lines} lines: {found[-1].seconds}")
        return {
            "new_lines": NEW_LINES,
            "histories": [_row(each, found[0]) for each in found],
            "machine": machine(server),
        }


def _row(found: Refreshes, shortest: Refreshes) -> dict[str, Any]:
    taken, first = statistics.median(found.seconds), statistics.median(shortest.seconds)
    used, first_used = statistics.median(found.processor_seconds), statistics.median(shortest.processor_seconds)
    return {
        "history_lines": found.lines,
        "history_receipts": found.receipts,
        "seconds": round(taken, 2),
        "times_the_shortest": round(taken / first, 2),
        "processor_seconds": round(used, 2),
        "processor_times_the_shortest": round(used / first_used, 2),
        "each": [round(seconds, 2) for seconds in found.seconds],
        "load": found.load,
    }


def _refresh(settings: Settings, seed: int) -> tuple[float, float]:
    file = settings.home / f"new-{seed}.csv"
    big_export(file, NEW_LINES, seed)
    scratch.register_file(settings, file)
    started, used = time.monotonic(), processor_seconds(settings)
    report = run(settings)
    taken = time.monotonic() - started
    if report.rows != NEW_LINES:
        raise RuntimeError(f"the refresh took {report.rows} rows")
    return taken, processor_seconds(settings) - used


def _counted(settings: Settings) -> Refreshes:
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute("select (select count(*) from core.sale_lines), (select count(*) from core.sales)")
        [(lines, receipts)] = cursor.fetchall()
    return Refreshes(lines, receipts)


def _keep_base(settings: Settings) -> None:
    with connect(settings, "postgres") as connection, connection.cursor() as cursor:
        cursor.execute("create schema bench")
        for schema, table in _COPIED:
            cursor.execute(
                sql.SQL("create table bench.{1} as select * from {0}.{1}").format(
                    sql.Identifier(schema), sql.Identifier(table)
                )
            )


def _grow(settings: Settings, first: int, last: int) -> None:
    """Copies first to last; indexes are made anew at the end and statistics taken, as they would be by then."""
    with connect(settings, "postgres") as connection, connection.cursor() as cursor:
        cursor.execute("set session_replication_role = replica")  # the copies refer to one another as the base does
        cursor.execute("set maintenance_work_mem = '512MB'")
        dropped = _drop_indexes(connection)
        for start in range(first, last + 1, COPIES_AT_ONCE):
            for schema, table in _COPIED:
                cursor.execute(
                    _copying(connection, schema, table),
                    {"first": start, "last": min(last, start + COPIES_AT_ONCE - 1), "days": BASE_DAYS},
                )
        for statement in dropped:
            cursor.execute(statement)
        cursor.execute(
            "create temporary table affected_customers as select distinct customer_id, source from core.sales"
        )
        _sum_marts(connection)
    with connect(settings, "postgres", autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("vacuum analyze")
        cursor.execute("checkpoint")


def _copying(connection: PgConnection, schema: str, table: str) -> sql.Composable:
    with connection.cursor() as cursor:
        cursor.execute(
            "select column_name from information_schema.columns where table_schema = %s and table_name = %s",
            (schema, table),
        )
        columns = [name for (name,) in cursor.fetchall()]
    shifted = {
        name: how for name, how in _SHIFTED.items() if schema == "core" or name != "value"
    }  # of marts: an amount
    values = sql.SQL(", ").join(sql.SQL(shifted.get(name, "{0}").format(f'base."{name}"')) for name in columns)
    return sql.SQL(
        "insert into {schema}.{table} ({columns}) select {values} "
        "from bench.{table} as base cross join generate_series(%(first)s, %(last)s) as copy"
    ).format(
        schema=sql.Identifier(schema),
        table=sql.Identifier(table),
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        values=values,
    )


def _drop_indexes(connection: PgConnection) -> list[str]:
    """Drop the indexes of the large tables that are no keys; gives the statements that make them again."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select format('drop index %I.%I', schemaname, indexname), indexdef from pg_indexes
            where schemaname = 'core' and tablename in ('sales', 'sale_lines', 'payments')
            and not exists (select from pg_constraint where conindid = format('%I.%I', schemaname, indexname)::regclass)
            """
        )
        found = cursor.fetchall()
        for drop, _ in found:
            cursor.execute(drop)
    return [definition for _, definition in found]


def _sum_marts(connection: PgConnection) -> None:
    """The marts that are no copies but sums over more than a day, by the transforms' own selects."""
    from transforms.merge import select_text  # noqa: PLC0415  # nothing else here reads them

    with connection.cursor() as cursor:
        cursor.execute(
            "create temporary table affected_months as "
            "select distinct date_trunc('month', business_date)::date as month, store_id, source from core.sales"
        )
        for mart in _SUMMED_MARTS:
            name = sql.Identifier("marts", mart)
            cursor.execute(sql.SQL("truncate {}").format(name))
            cursor.execute(
                sql.SQL("create temporary table next_mart as {}").format(sql.SQL(select_text("marts", mart))), {}
            )
            cursor.execute("select attname from pg_attribute where attrelid = 'next_mart'::regclass and attnum > 0")
            columns = sql.SQL(", ").join(sql.Identifier(column) for (column,) in cursor.fetchall())
            cursor.execute(sql.SQL("insert into {} ({}) select {} from next_mart").format(name, columns, columns))
            cursor.execute("drop table next_mart")
        cursor.execute("drop table affected_months; drop table affected_customers")
