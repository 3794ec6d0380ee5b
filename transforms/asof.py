"""
Tables as they were known at a past moment: core tables from their versions, marts by their own selects over these.

Comes in: a moment and a table. Goes out: its rows as of then. The same selects over given rows make the marts of the
metrics' examples (transforms/examples.py): a mart is remade wherever its core tables are read from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection
from psycopg2.extensions import cursor as PgCursor
from psycopg2.extras import RealDictCursor

from db.connection import connect
from panpan.errors import UsageError
from panpan.settings import Settings
from transforms.contract import load_contracts
from transforms.merge import Table, select_text
from transforms.periods import FIRST, LAST
from transforms.tables import ALL_CORE, CUSTOMER_MARTS, MOVEMENT_MARTS, SALES_MARTS, STOCK_MARTS

CORE = {table.name: table for table in ALL_CORE}
MARTS = {table.name: table for table in (*SALES_MARTS, *CUSTOMER_MARTS, *STOCK_MARTS, *MOVEMENT_MARTS)}
DAY_BY_DAY = {"daily_store_sales", "daily_product_sales"}  # a day of these needs no other day
OF_RECEIPTS = ("affected_receipts", "affected_items")  # what those read, in the order they are made
Days = tuple[date, date]
EVERY_DAY: Days = (FIRST, LAST)
ASOF_VIEWS = "core_asof."
REMADE = "pg_temp.remade_"
BEFORE = "pg_temp.before_"  # what a select finds of its own mart: nothing, because all of it is made

# All days, months and customers there are, where a run has those of its batch. {core}: where core tables are read from.
_ALL_AFFECTED = """
create temporary table affected_days on commit drop as
select distinct business_date, store_id, source from {core}sales
where business_date between %(first_day)s and %(last_day)s;
create temporary table affected_kind_days on commit drop as select * from affected_days;
create temporary table affected_months on commit drop as
select distinct date_trunc('month', business_date)::date as month, store_id, source from affected_days;
create temporary table affected_cohort_months on commit drop as select distinct month from affected_months;
create temporary table affected_retention_months on commit drop as
select month from affected_months union select (month + interval '1 month')::date from affected_months;
create temporary table affected_customers on commit drop as
select distinct customer_id, source from {core}sales where customer_id is not null;
create temporary table affected_stock_days on commit drop as
select distinct business_date, store_id, source, product_id from {core}stock_movements;
"""


def rows_as_of(settings: Settings, moment: datetime, name: str, limit: int | None = None) -> list[dict[str, Any]]:
    """
    A table's rows as known at a moment, in key order.

    name: `sales` or `core.sales`, `marts.daily_store_sales`.
    Errors: UsageError for a table without history.
    """
    table = find_table(name)
    with marts_as_of(settings, moment, [] if table.has_history else [table.name]) as connection:
        place = sql.Identifier("core_asof", table.name) if table.has_history else sql.SQL(f"{REMADE}{table.name}")
        with connection.cursor(cursor_factory=RealDictCursor) as cursor:
            cursor.execute(
                sql.SQL("select * from {} order by {} limit {}").format(
                    place, sql.SQL(", ").join(map(sql.Identifier, table.keys)), sql.Literal(limit)
                )
            )
            return [dict(row) for row in cursor.fetchall()]


def find_table(name: str) -> Table:
    """A table by name, with or without its schema. Errors: UsageError naming the ones with a past."""
    schema, _, plain = name.rpartition(".")
    for known in ((CORE, "core"), (MARTS, "marts")):
        if plain in known[0] and schema in ("", known[1]):
            return known[0][plain]
    raise UsageError(
        f"{name!r} has no past to show",
        cause=f"tables with one: {', '.join([*CORE, *(f'marts.{mart}' for mart in MARTS)])}",
        next="ask for it as it is now: leave --as-of out",
    )


@contextmanager
def marts_as_of(
    settings: Settings, moment: datetime, marts: Iterable[str], days: Days = EVERY_DAY
) -> Iterator[PgConnection]:
    """
    A connection as role transformer in which pg_temp.remade_<mart> holds each mart as known at a moment.

    All it reads is of one snapshot, so that marts agree with each other also while a run ends.

    days: those the caller will look at; marts made day by day hold no others.
    Errors: UsageError for a mart without a past.
    """
    tables = [find_table(f"marts.{name}") for name in marts]
    with connect(settings, "transformer") as connection:
        with connection.cursor() as cursor:
            cursor.execute("set transaction isolation level repeatable read")
            cursor.execute("select set_config('panpan.as_of', %s, true)", (moment.isoformat(),))
        currencies = {c.source: c.currency_code for c in load_contracts(settings.own_contracts).values()}
        remake_marts(connection, [table.name for table in tables], ASOF_VIEWS, currencies, days)
        yield connection


def remade(statement: str) -> str:
    """A statement over marts, over the remade ones."""
    return re.sub(r"\bmarts\.(\w+)", rf"{REMADE}\1", statement)


def remake_marts(
    connection: PgConnection, marts: Sequence[str], core: str, currencies: Mapping[str, Any], days: Days = EVERY_DAY
) -> None:
    """
    Make pg_temp.remade_<mart> of core tables found elsewhere: what stands before their names, such as `core_asof.`.

    currencies: source -> currency of its costs, which only the contracts say.
    """
    first, last = days if set(marts) <= DAY_BY_DAY else EVERY_DAY
    with connection.cursor() as cursor:
        cursor.execute(_ALL_AFFECTED.format(core=core), {"first_day": first, "last_day": last})
        for name in marts_made(marts):
            if name in OF_RECEIPTS:
                head = sql.SQL("create temporary table {} on commit drop as ").format(sql.Identifier(name))
                cursor.execute(head + sql.SQL(_elsewhere(select_text("marts", name), name, core)))
            else:
                _remake(cursor, name, core, currencies)


def marts_made(marts: Sequence[str]) -> list[str]:
    """What is made for some marts, in order: receipts of those made day by day, marts they add up, themselves."""
    names = list(dict.fromkeys(each for mart in marts for each in (*marts_needed(mart), mart)))
    return [*(OF_RECEIPTS if DAY_BY_DAY & set(names) else ()), *names]


def marts_needed(name: str) -> list[str]:
    """The marts a mart reads, and those they read, in the order they are to be made."""
    found: list[str] = []
    for each in re.findall(r"\bmarts\.(\w+)", select_text("marts", name)):
        if each in MARTS and each != name:
            found += [*marts_needed(each), each]
    return list(dict.fromkeys(found))


def _remake(cursor: PgCursor, name: str, core: str, currencies: Mapping[str, Any]) -> None:
    cursor.execute(
        sql.SQL(
            "create temporary table {0} on commit drop as select * from {2} limit 0;"
            "create temporary table {1} on commit drop as select * from {2} limit 0"
        ).format(sql.Identifier(f"before_{name}"), sql.Identifier(f"remade_{name}"), sql.Identifier("marts", name))
    )
    text = _elsewhere(select_text("marts", name), name, core)
    if "%(source)s" in text:
        text = f"select * from ({text}) as part where source = %(source)s"  # noqa: S608  # a select file of our own
        sources = _sources(cursor, core)
    else:
        sources = [""]
    for source in sources:
        parameters = {"source": source, "currency_code": currencies.get(source)}
        if name == "inventory_turnover":
            months = _elsewhere(select_text("marts", "affected_stock_months"), name, core)
            head = "drop table if exists pg_temp.affected_stock_months; create temporary table affected_stock_months"
            cursor.execute(sql.SQL(f"{head} on commit drop as ") + sql.SQL(months), parameters)
        target = sql.Identifier(f"remade_{name}")
        cursor.execute(sql.SQL("create temporary table part on commit drop as ") + sql.SQL(text), parameters)
        cursor.execute("select attname from pg_attribute where attrelid = 'part'::regclass and attnum > 0")
        columns = sql.SQL(", ").join(sql.Identifier(column) for (column,) in cursor.fetchall())
        cursor.execute(sql.SQL("insert into {0} ({1}) select {1} from part; drop table part").format(target, columns))


def _elsewhere(text: str, own: str, core: str) -> str:
    """A select of a mart over core tables found elsewhere, other marts remade, and nothing of its own."""
    text = re.sub(r"\bcore\.(?!key\b)", core, text)
    text = re.sub(rf"\bmarts\.{own}\b", f"{BEFORE}{own}", text)
    return remade(text)


def _sources(cursor: PgCursor, core: str) -> list[str]:
    """The sources of stock: their costs are in a currency each."""
    cursor.execute(
        sql.SQL("select source from {0}stock_movements union select source from {0}stock_levels").format(sql.SQL(core))
    )
    return [source for (source,) in cursor.fetchall()]
