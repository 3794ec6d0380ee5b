"""
Tries whether the checks notice what goes wrong: does one thing after another to a scratch business and looks.

Comes in: a connection to a scratch database with a sound business, mutations.yaml. Goes out: which checks caught what.
Every mutation is taken back before the next one; nothing is ever committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

import psycopg2
import yaml
from psycopg2.extensions import connection as PgConnection
from pydantic import BaseModel, ConfigDict

from panpan.errors import UsageError
from transforms.contract import Contract
from transforms.merge import create_result, merge
from transforms.quality.checks import Check
from transforms.quality.judge import judge
from transforms.run import next_known_at, refresh_sales_marts
from transforms.tables import MOVEMENT_MARTS, STOCK_MARTS

FILE = Path(__file__).with_name("mutations.yaml")


class Mutation(BaseModel):
    """One thing that goes wrong. What the sources sent so (layer received) is in the marts as well."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    what: str
    layer: Literal["received", "raw", "core", "marts", "ops"]
    sql: str


@dataclass(frozen=True)
class Caught:
    """A mutation and the checks that noticed it; refused says so where the database did not let it happen at all."""

    mutation: Mutation
    checks: tuple[str, ...]
    refused: str | None = None

    @property
    def is_caught(self) -> bool:
        return bool(self.checks) or self.refused is not None


@cache
def load_mutations() -> tuple[Mutation, ...]:
    """All of them, in the order of the file."""
    return tuple(Mutation.model_validate(each) for each in yaml.safe_load(FILE.read_text(encoding="utf-8")))


def mutate(
    connection: PgConnection,
    contracts: Mapping[str, Contract],
    checks: Sequence[Check],
    mutations: Sequence[Mutation],
    now: datetime,
) -> Iterator[Caught]:
    """
    Do each mutation to the database, make the checks, take it back.

    The connection is one of a superuser to a scratch database, in a transaction that is never committed.
    Errors: UsageError when a mutation changes nothing; psycopg2.Error when it is no statement, or the server goes away.
    """
    with connection.cursor() as cursor:
        cursor.execute("select max(business_date) from core.sales where business_date < %s", (now.date(),))
        [(last_day,)] = cursor.fetchall()
        sound = _failing(connection, contracts, checks, now)
        cursor.execute(f"create temporary table sound_days on commit drop as {_DAYS}")
        cursor.execute(f"create temporary table sound_stock on commit drop as {_STOCK}")
        for mutation in mutations:
            cursor.execute("savepoint sound_business")
            try:
                cursor.execute(mutation.sql, {"last_day": last_day})
                if cursor.rowcount == 0:
                    raise UsageError(f"mutation {mutation.id} changes nothing", next=f"correct {FILE}")
                if mutation.layer == "received":
                    _follow(connection, contracts)
                found = _failing(connection, contracts, checks, now) - sound
                yield Caught(mutation, tuple(sorted(found)))
            except psycopg2.IntegrityError as error:
                yield Caught(mutation, (), (error.diag.message_primary or "a constraint").strip())
            finally:
                cursor.execute("rollback to savepoint sound_business")


# What a day's receipts and movements say, in one number each: where it differs, the marts follow.
_DAYS = """
select
    sale.business_date, sale.store_id, sale.source,
    sum(hashtextextended(row(sale.*, lines.digest)::text, 0)) as digest
from core.sales as sale
left join (
    select sale_id, sum(hashtextextended(line::text, 0)) as digest from core.sale_lines as line group by sale_id
) as lines using (sale_id)
group by sale.business_date, sale.store_id, sale.source
"""
_STOCK = """
select business_date, store_id, source, product_id, sum(hashtextextended(move::text, 0)) as digest
from core.stock_movements as move
group by business_date, store_id, source, product_id
"""


def _failing(
    connection: PgConnection, contracts: Mapping[str, Contract], checks: Sequence[Check], now: datetime
) -> set[str]:
    return {verdict.check.id for verdict in judge(connection, contracts, checks, now) if verdict.state == "failed"}


def _follow(connection: PgConnection, contracts: Mapping[str, Contract]) -> None:
    """The marts as a run would have left them, had it received this: only what can't be right is left to notice."""
    contract = contracts["inventory"]
    parameters: dict[str, Any] = {
        "source": contract.source,
        "catalogue": contract.catalogue,
        "currency_code": contract.currency_code,
        "time_zone": contract.time_zone,
        "known_at": next_known_at(connection),
        "rule_version": "mutation",
    }
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            create temporary table affected_days on commit drop as
            select distinct business_date, store_id, source
            from (({_DAYS} except table sound_days) union all (table sound_days except {_DAYS})) as changed;
            create temporary table affected_customers on commit drop as
            select sale.customer_id, sale.source from core.sales as sale
            inner join affected_days using (business_date, store_id, source) where sale.customer_id is not null
            union
            select mart.customer_id, mart.source from marts.daily_customers as mart
            inner join affected_days using (business_date, store_id, source);
            create temporary table affected_stock_days on commit drop as
            select distinct business_date, store_id, source, product_id
            from (({_STOCK} except table sound_stock) union all (table sound_stock except {_STOCK})) as changed
            """  # noqa: S608  # our own two selects
        )
        create_result(cursor, "affected_stock_months", "marts", parameters)
    refresh_sales_marts(connection, parameters)
    for table in (*STOCK_MARTS, *MOVEMENT_MARTS):
        merge(connection, table, parameters)


def never_failing(
    connection: PgConnection, contracts: Mapping[str, Contract], checks: Sequence[Check], now: datetime
) -> list[str]:
    """The checks that pass on the very statements said to make them fail; there should be none. Nothing is kept."""
    passed = []
    with connection.cursor() as cursor:
        for check in checks:
            cursor.execute("savepoint sound_business")
            cursor.execute(check.fixture, {"now": now, "last_day": now.date() - timedelta(days=1)})
            if check.id not in _failing(connection, contracts, [check], now):
                passed.append(check.id)
            cursor.execute("rollback to savepoint sound_business")
    return passed
