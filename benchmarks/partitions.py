"""
Sale lines in one table or in one partition per month: what decision 0022 was taken on.

`python -m benchmarks.partitions LINES MONTHS` fills both shapes with the same made-up lines, with the keys, indexes and
foreign key to sales of core.sale_lines, and times what the transforms do with them. Prints JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import time

from psycopg2.extensions import connection as PgConnection

from benchmarks import scratch
from benchmarks.measure import load_average, processor_seconds
from db.connection import connect

RECEIPT_LINES = 2
NEW_RECEIPTS = 500
TIMES = 7

TABLES = """
create schema trial;
create table trial.sales (
    sale_id uuid primary key, business_date date not null, store_id text not null, known_from timestamptz not null
);
insert into trial.sales
select md5(number::text)::uuid, date '2026-09-30' - (number * %(days)s::bigint / (%(receipts)s + 1))::integer, 'centro',
    now()
from generate_series(1, %(receipts)s) as number;
create table trial.given as
select sale.sale_id, line_number, sale.business_date
from trial.sales as sale cross join generate_series(1, 2) as line_number;
create index on trial.sales (business_date, store_id);
create table trial.plain (
    like core.sale_lines including defaults including constraints, primary key (sale_id, line_number)
);
create table trial.monthly (
    like core.sale_lines including defaults including constraints, primary key (sale_id, line_number, business_date)
) partition by range (business_date);
"""
PARTITIONS = """
select format(
    'create table trial.monthly_%%s partition of trial.monthly for values from (%%L) to (%%L)',
    to_char(month, 'YYYY_MM'), month::date, (month + interval '1 month')::date
)
from generate_series(
    date_trunc('month', date '2026-10-01') - %(months)s * interval '1 month', timestamp '2026-12-01', interval '1 month'
) as month
"""
INDEXES = """
create index on trial.{0} (business_date, product_id);
create index on trial.{0} (raw_id);
alter table trial.{0} add foreign key (sale_id) references trial.sales;
"""
INSERT = """
insert into trial.{0} (
    sale_id, line_number, business_date, product_name, quantity, net_amount, currency_code, amount_origin, raw_id,
    load_id
)
select sale_id, line_number, business_date, 'Brownie', 1, 3.10, 'EUR', 'received', 1, 1
from trial.given order by sale_id
"""
# The receipts of a refresh: a day's, as they come in an export whose window overlaps the one before.
SEEN = """
create temporary table seen as
select sale_id, business_date from trial.sales where business_date = date '2026-09-30' limit %(count)s;
analyze seen
"""
QUERIES = {
    "lines of the receipts that came again": """
        select count(*) from seen inner join trial.{0} as line on seen.sale_id = line.sale_id
    """,
    "the same, with the day known": """
        select count(*) from seen
        inner join trial.{0} as line on seen.sale_id = line.sale_id and seen.business_date = line.business_date
    """,
    "lines of one receipt (trace)": """
        select count(*) from trial.{0} where sale_id = (select sale_id from seen limit 1)
    """,
    "line of one raw record (trace)": "select count(*) from trial.{0} where raw_id = 0",
    "sum of a day": "select sum(net_amount) from trial.{0} where business_date = date '2026-09-29'",
    "sum of a month": """
        select sum(net_amount) from trial.{0}
        where business_date >= date '2026-09-01' and business_date < date '2026-10-01'
    """,
}


def main() -> None:
    """Both shapes, one after the other, on one server."""
    lines, months = (int(word) for word in sys.argv[1:])
    with scratch.scratch_server() as server:
        settings = scratch.fresh_database(server)
        found: dict[str, dict[str, float]] = {}
        with connect(settings, "postgres") as connection, connection.cursor() as cursor:
            cursor.execute("set work_mem = '128MB'")
            cursor.execute(TABLES, {"days": months * 30, "receipts": lines // RECEIPT_LINES})
            cursor.execute(PARTITIONS, {"months": months})
            for (statement,) in cursor.fetchall():
                cursor.execute(statement)
            cursor.execute("analyze trial.sales; analyze trial.given")
            for shape in ("plain", "monthly"):
                cursor.execute(INDEXES.format(shape))
                connection.commit()
                started, used = time.monotonic(), processor_seconds(server)
                cursor.execute(INSERT.format(shape))
                connection.commit()
                found.setdefault("first load, seconds", {})[shape] = round(time.monotonic() - started, 2)
                used = processor_seconds(server) - used
                found.setdefault("first load, processor seconds", {})[shape] = round(used, 2)
                cursor.execute(f"analyze trial.{shape}")
            cursor.execute(SEEN, {"count": NEW_RECEIPTS})
            for name, query in QUERIES.items():
                for shape in ("plain", "monthly"):
                    found.setdefault(f"{name}, ms", {})[shape] = _milliseconds(connection, query.format(shape))
        for ratios in found.values():
            ratios["monthly_takes_times"] = round(ratios["monthly"] / ratios["plain"], 2)
        sys.stdout.write(
            json.dumps({"lines": lines, "months": months, "load": load_average(), **found}, indent=1) + "\n"
        )


def _milliseconds(connection: PgConnection, query: str) -> float:
    """The median of some runs, planning included, as the server is asked by a run: anew each time."""
    taken = []
    with connection.cursor() as cursor:
        for _ in range(TIMES):
            started = time.monotonic()
            cursor.execute(query)
            cursor.fetchall()
            taken.append((time.monotonic() - started) * 1000)
    return round(statistics.median(taken), 2)


if __name__ == "__main__":
    main()
