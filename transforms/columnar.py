"""
Tables as Parquet files: typed, in key order, the same bytes for the same rows.

Comes in: a connection; its role says what may be read, its transaction as of when. Goes out: what each table is and
what its columns mean, its rows as a file, and what rows and sums are in a file and in the database.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection  # the driver's own name is too plain
from psycopg2.extras import RealDictCursor
from pyarrow import parquet

from panpan.errors import PanpanError
from transforms.merge import FOLDER

ROWS_AT_A_TIME = 50_000  # in memory at once; also a file's row group
MOST_DIGITS = 38  # of a 128-bit decimal
NUMERIC = re.compile(r"numeric\((\d+),(\d+)\)")
# What isn't here is written as the text PostgreSQL shows: texts, ids, JSON, lists.
TYPES = {
    "boolean": pa.bool_(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "double precision": pa.float64(),
    "date": pa.date32(),
    "timestamp with time zone": pa.timestamp("us", tz="UTC"),
    "timestamp without time zone": pa.timestamp("us"),
}
# A masked view has keys and comments of the table it shows. A view without keys is ordered by all of its columns.
DESCRIBED = """
select
    n.nspname as schema, t.relname as name,
    has_schema_privilege(n.oid, 'usage') and has_table_privilege(t.oid, 'select') as is_readable,
    coalesce(obj_description(t.oid, 'pg_class'), '') as grain,
    case when t.relkind = 'v' then pg_get_viewdef(t.oid) end as definition,
    array(
        select k.attname::text from pg_index as i
        cross join lateral unnest(i.indkey) with ordinality as place (attnum, number)
        inner join pg_attribute as k on k.attrelid = i.indrelid and k.attnum = place.attnum
        where i.indrelid = coalesce(shown.oid, t.oid) and i.indisprimary order by place.number
    ) as keys,
    array(
        select array[
            a.attname::text, format_type(a.atttypid, a.atttypmod),
            coalesce(col_description(t.oid, a.attnum), col_description(shown.oid, s.attnum), '')
        ]
        from pg_attribute as a
        left join pg_attribute as s on s.attrelid = shown.oid and s.attname = a.attname
        where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped order by a.attnum
    ) as columns
from pg_class as t
inner join pg_namespace as n on n.oid = t.relnamespace
left join pg_class as shown
    on n.nspname = 'masked' and shown.relname = t.relname and shown.relnamespace = to_regnamespace('core')
where t.relkind in ('r', 'v') and n.nspname in ('marts', 'masked', 'core')
order by n.nspname, t.relname
"""


@dataclass(frozen=True)
class Column:
    """A column as the database describes it: type in PostgreSQL's words."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class Description:
    """A table or view: what a row of it is, the columns that order it, the text it is made by (empty: code)."""

    schema: str
    name: str
    is_readable: bool  # to the role that asked
    grain: str
    keys: tuple[str, ...]
    definition: str
    columns: tuple[Column, ...]

    @property
    def table(self) -> str:
        return f"{self.schema}.{self.name}"


def describe(connection: PgConnection) -> list[Description]:
    """Every table and view of marts, masked and core, by schema and name."""
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(DESCRIBED)
        rows = cursor.fetchall()
    return [
        Description(
            row["schema"],
            row["name"],
            row["is_readable"],
            row["grain"],
            tuple(row["keys"] or [name for name, _, _ in row["columns"]]),
            row["definition"] or _select_file(row["schema"], row["name"]),
            tuple(Column(*column) for column in row["columns"]),
        )
        for row in rows
    ]


def _select_file(schema: str, name: str) -> str:
    file = FOLDER / schema / f"{name}.sql"
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def write_parquet(connection: PgConnection, described: Description, place: sql.Identifier, file: Path) -> int:
    """
    Write the rows at a place, which has the columns of a table, into a file; gives their number.

    The file says what it is, and nothing of when it was made.
    Errors: PanpanError for a value that Parquet can't hold as it is.
    """
    schema = _schema(connection, described, place)
    rows = 0
    try:
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            for batch in _batches(connection, described, place, schema):
                writer.write_batch(batch)
                rows += batch.num_rows
    except (pa.ArrowInvalid, OverflowError) as error:
        raise PanpanError(f"{described.table} can't be written as Parquet", cause=str(error)) from error
    return rows


def totals_of_file(file: Path) -> dict[str, Decimal]:
    """Number of rows (`rows`), and the sum of each column of numbers."""
    with parquet.ParquetFile(file) as opened:
        names = _numbers(opened.schema_arrow)
        totals = {"rows": Decimal(opened.metadata.num_rows), **dict.fromkeys(names, Decimal(0))}
        for batch in opened.iter_batches(columns=names):
            for name in names:
                totals[name] += pc.sum(_widest(batch[name])).as_py() or 0
    return totals


def totals_in_database(connection: PgConnection, place: sql.Identifier, names: list[str]) -> dict[str, Decimal]:
    """The same of some of the columns at a place; those that are not there are left out."""
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("select * from {} limit 0").format(place))
        found = [column.name for column in cursor.description or () if column.name in names]
        sums = [sql.SQL("coalesce(sum({}), 0)").format(sql.Identifier(name)) for name in found]
        cursor.execute(sql.SQL("select {} from {}").format(sql.SQL(", ").join([sql.SQL("count(*)"), *sums]), place))
        [values] = cursor.fetchall()
    return {name: Decimal(value) for name, value in zip(["rows", *found], values, strict=True)}


def _schema(connection: PgConnection, described: Description, place: sql.Identifier) -> pa.Schema:
    facts = {
        "table": described.table,
        "grain": described.grain,
        "keys": json.dumps(described.keys),
        "columns": json.dumps({column.name: column.comment for column in described.columns}, ensure_ascii=False),
        "definition": described.definition,
    }
    fields = [(column.name, _type(connection, column, place)) for column in described.columns]
    return pa.schema(fields, metadata=facts)


def _type(connection: PgConnection, column: Column, place: sql.Identifier) -> pa.DataType:
    if column.type == "numeric":  # any number of digits: as many after the point as there are
        with connection.cursor() as cursor:
            cursor.execute(
                sql.SQL("select coalesce(max(scale({})), 0) from {}").format(sql.Identifier(column.name), place)
            )
            [(scale,)] = cursor.fetchall()
        return pa.decimal128(MOST_DIGITS, scale)
    if found := NUMERIC.fullmatch(column.type):
        return pa.decimal128(int(found[1]), int(found[2]))
    return TYPES.get(column.type, pa.string())


def _batches(
    connection: PgConnection, described: Description, place: sql.Identifier, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """The rows in key order, through a cursor of the server: all of them are never in memory."""
    values = [
        sql.SQL("{}::text" if pa.types.is_string(field.type) else "{}").format(sql.Identifier(field.name))
        for field in schema
    ]
    # By the column as it is, not as the text it is written as: so the key's index gives the order.
    order = [sql.Identifier("given", name) for name in described.keys]
    statement = sql.SQL("select {} from {} as given order by {}").format(
        sql.SQL(", ").join(values), place, sql.SQL(", ").join(order)
    )
    with connection.cursor(name="parquet") as cursor:
        cursor.execute(statement)
        while rows := cursor.fetchmany(ROWS_AT_A_TIME):
            columns = zip(*rows, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            yield pa.record_batch(arrays, schema=schema)


def _numbers(schema: pa.Schema) -> list[str]:
    return [each.name for each in schema if pa.types.is_decimal(each.type) or pa.types.is_integer(each.type)]


def _widest(values: pa.Array) -> pa.Array:
    """Numbers in a type in which their sum has room."""
    scale = values.type.scale if pa.types.is_decimal(values.type) else 0
    return values.cast(pa.decimal128(MOST_DIGITS, scale))
