"""
Rows on their way into core: temporary tables filled by COPY, one per kind of record.

Comes in: typed Arrow tables. Goes out: stage_<kind>, gone when the transaction ends.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.csv as arrow_csv
from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection  # the driver's own name is too plain

from transforms.formatted.records import ROWS

# Columns the rows carry beside those of their kind: where each came from.
LINEAGE = pa.schema([("raw_id", pa.int64()), ("document_id", pa.int64()), ("load_id", pa.int64())])
COPY_BYTES = 2**20  # psycopg2 takes a file in pieces of 8 KiB unless told
COPIES_AHEAD = 2  # a chunk's two COPYs wait while the next chunk is typed; more would only be memory

Later = Callable[[Callable[[], None]], None]


def create_stages(connection: PgConnection) -> None:
    """Empty stages for every kind; `stage_id` keeps the order in which rows came."""
    with connection.cursor() as cursor:
        for kind, schema in ROWS.items():
            columns = [*LINEAGE, *(field for field in schema if field.name != "position")]
            cursor.execute(
                sql.SQL(
                    "create temporary table {} (stage_id bigint generated always as identity, {}) on commit drop"
                ).format(
                    sql.Identifier(f"stage_{kind}"),
                    sql.SQL(", ").join(
                        sql.SQL("{} {}").format(sql.Identifier(field.name), sql.SQL(_sql_type(field.type)))
                        for field in columns
                    ),
                )
            )


def copy_table(connection: PgConnection, name: str, table: pa.Table) -> None:
    """COPY an Arrow table into a table with columns of the same names. Nothing at all when it has no row."""
    if table.num_rows == 0:
        return
    table = table.select([name for name in table.column_names if table[name].null_count < table.num_rows])
    text = io.BytesIO()
    arrow_csv.write_csv(table, text, arrow_csv.WriteOptions(include_header=False))
    text.seek(0)
    statement = sql.SQL("copy {} ({}) from stdin (format csv)").format(
        sql.Identifier(name), sql.SQL(", ").join(sql.Identifier(column) for column in table.column_names)
    )
    with connection.cursor() as cursor:
        cursor.copy_expert(statement, text, COPY_BYTES)


@contextmanager
def copying_aside() -> Iterator[Later]:
    """
    Runs what it is given in order in a thread of its own: the server takes a chunk in while the next one is typed.

    Nobody else may use the connection inside. At the end all is done; an error of one is raised at the next or there.
    """
    under_way: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1, "copy") as thread:

        def later(copy: Callable[[], None]) -> None:
            while len(under_way) >= COPIES_AHEAD:
                under_way.popleft().result()
            under_way.append(thread.submit(copy))

        try:
            yield later
            while under_way:
                under_way.popleft().result()
        finally:
            thread.shutdown(wait=True, cancel_futures=True)


def _sql_type(kind: pa.DataType) -> str:
    """The column type that holds an Arrow type without loss."""
    if pa.types.is_decimal(kind):
        return f"numeric({kind.precision}, {kind.scale})"
    return {
        pa.string(): "text",
        pa.int64(): "bigint",
        pa.bool_(): "boolean",
        pa.date32(): "date",
        pa.timestamp("us", "UTC"): "timestamptz",
    }[kind]
