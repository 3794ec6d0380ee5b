"""
The flow, to be read first: received loads -> raw records -> formatted -> core -> marts, a batch at a time.

A batch is some loads of one source in one transaction: readers see the state before it or after it, nothing between,
and a kill at any moment leaves the state before. Only finished loads are looked at, never a watermark, so a load that
commits late is taken late, not lost. Before the commit the checks that block are made. A batch that a check or the
database refuses for what is in it is taken again in halves, until the load at fault is alone: it is refused, and the
others are in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg2
from psycopg2 import extras
from psycopg2.extensions import connection as PgConnection  # the driver's own name is too plain

from db.connection import connect
from panpan.errors import ContractError, DatabaseError, DocumentRefused, PanpanError
from panpan.settings import Settings
from transforms.contract import Contract, Kind, load_contracts
from transforms.intake import RAW_IDS_PER_DOCUMENT, Load, Taken, take_load
from transforms.matching.match import match_customers, start_affected
from transforms.merge import create_result, merge, remove, set_column
from transforms.published import publish_figures
from transforms.quality.gate import HeldBack, refuse_wrong_figures
from transforms.redaction import has_erased, redact_arrivals
from transforms.stage import create_stages
from transforms.tables import (
    CUSTOMER_MARTS,
    DATA_FRESHNESS,
    DIMENSIONS,
    FUNNEL_EVENTS,
    INVENTORY,
    MOVEMENT_MARTS,
    SALES,
    SALES_FUNNEL,
    SALES_MARTS,
    STOCK,
    STOCK_MARTS,
)
from transforms.versions import keep_rule_version

LOCK_KEY = 7_265_727  # one transform run at a time; any fixed number of our own
BATCH_LOADS = 100
BATCH_BYTES = 64 * 2**20


Progress = Callable[[str], None]


@dataclass
class RunReport:
    """What a run did: loads by outcome, rows and rejects, seconds. Of the refused, held were held back by a check."""

    loads: int = 0
    refused: int = 0
    held: int = 0
    rows: int = 0
    rejects: int = 0
    seconds: float = 0.0
    refusals: list[str] = field(default_factory=list)


def run(settings: Settings, progress: Progress = lambda _: None) -> RunReport:
    """
    Take every load that is received, batch by batch, until none is left. A second run at once waits for this one.

    Errors: DatabaseError when the server goes away in the middle; the batch under way is then taken by the next run.
    """
    started = time.monotonic()
    report = RunReport()
    contracts = load_contracts(settings.own_contracts)
    try:
        while batches := _run_next_batch(settings, contracts):
            for batch in batches:
                _add(report, batch)
            progress(f"{report.loads} loads, {report.rows} rows, {report.rejects} rejects")
    except psycopg2.OperationalError as error:
        raise DatabaseError(
            "the database went away during a transform run; nothing half done was kept",
            cause=str(error).strip(),
            next="bin/panpan up, then bin/panpan transform run",
        ) from error
    except OSError as error:
        raise PanpanError(
            "the formatted files can't be written; nothing half done was kept",
            cause=str(error),
            next=f"make room or give rights in {settings.formatted}, then bin/panpan transform run",
        ) from error
    report.seconds = round(time.monotonic() - started, 2)
    return report


@dataclass
class _Batch:
    source: str
    known_at: datetime
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    rule_version: str | None = None  # none without a contract
    taken: dict[int, Taken] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    held: int = 0


class _AtFault(Exception):
    """Loads of which at least one can't be taken in their batch, and why; held_by is the check where it was one."""

    def __init__(self, batch: _Batch, loads: list[Load], reason: str, held_by: str | None) -> None:
        super().__init__(reason)
        self.batch, self.loads, self.reason, self.held_by = batch, loads, reason, held_by


def _add(report: RunReport, batch: _Batch) -> None:
    report.loads += len(batch.taken)
    report.refused += len(batch.refused)
    report.held += batch.held
    report.refusals += batch.refused.values()
    report.rows += sum(taken.rows for taken in batch.taken.values())
    report.rejects += sum(taken.rejects for taken in batch.taken.values())


def _run_next_batch(
    settings: Settings, contracts: Mapping[str, Contract], only: list[int] | None = None
) -> list[_Batch]:
    """The next batch, in as many parts as it takes to single out a load at fault; empty when nothing is received."""
    try:
        batch = _run_one_batch(settings, contracts, only)
        return [batch] if batch else []
    except _AtFault as fault:
        ids = [load.load_id for load in fault.loads]
        if len(ids) == 1:
            return [_refuse(settings, fault)]
        middle = len(ids) // 2
        return [
            *_run_next_batch(settings, contracts, ids[:middle]),
            *_run_next_batch(settings, contracts, ids[middle:]),
        ]


def _run_one_batch(
    settings: Settings, contracts: Mapping[str, Contract], only: list[int] | None = None
) -> _Batch | None:
    """
    One transaction: the next loads of one source, or those of the given ids, into core and marts. None when there are
    none.

    Errors: _AtFault when what is in the loads can't be taken; nothing of the batch is kept then.
    """
    with connect(settings, "transformer") as connection:
        with connection.cursor() as cursor:
            cursor.execute("select pg_advisory_xact_lock(%s)", (LOCK_KEY,))
        loads = _next_loads(connection, only)
        if not loads:
            return None
        batch = _Batch(loads[0].source, next_known_at(connection))
        try:
            _take_batch(connection, settings, contracts, loads, batch)
        except (HeldBack, psycopg2.Error) as error:
            for taken in batch.taken.values():
                for part, _ in taken.parquet_files:
                    part.unlink(missing_ok=True)
            if isinstance(error, HeldBack):
                raise _AtFault(batch, loads, error.message, error.check_id) from error
            if not _is_of_the_data(error):
                raise
            reason = (error.diag.message_primary or str(error)).strip()
            raise _AtFault(batch, loads, f"the database can't take it into the model: {reason}", None) from error
        for taken in batch.taken.values():
            for part, final in taken.parquet_files:
                part.replace(final)
    return batch


def _take_batch(
    connection: PgConnection,
    settings: Settings,
    contracts: Mapping[str, Contract],
    loads: list[Load],
    batch: _Batch,
) -> None:
    """Everything of a batch up to its commit."""
    create_stages(connection)
    contract = contracts.get(batch.source)
    if contract is not None:
        batch.rule_version = keep_rule_version(connection, contract)
        if has_erased(connection):
            redact_arrivals(settings, contract, [load.load_id for load in loads])
    for load in loads:
        _take(connection, load, contract, settings, batch)
    if batch.taken and contract is not None:
        _build_core(connection, contract, batch)
    _finish(connection, batch)
    _refresh_freshness(connection, contracts)
    if not all(load.is_released for load in loads):
        refuse_wrong_figures(connection, batch.known_at)


# Classes of SQLSTATE that speak of values: cardinality, data, integrity, program limits (a key too long for an index),
# raised by our own functions. Others speak of the server or of our SQL, and are no load's fault.
_OF_THE_DATA = ("21", "22", "23", "54", "P0")


def _is_of_the_data(error: psycopg2.Error) -> bool:
    return (error.pgcode or "")[:2] in _OF_THE_DATA


def _refuse(settings: Settings, fault: _AtFault) -> _Batch:
    """Keep a load at fault out of the model, with the reason; the run is recorded as blocked or failed."""
    [load] = fault.loads
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        tried = fault.batch
        batch = _Batch(load.source, next_known_at(connection), tried.started_at, tried.rule_version)
        batch.refused[load.load_id] = fault.reason
        batch.held = 1 if fault.held_by else 0
        cursor.execute(
            """
            update ops.loads
            set status = 'refused', reason = %s, held_by = %s, record_count = 0, row_count = 0, reject_count = 0,
                finished_at = clock_timestamp()
            where load_id = %s and status = 'received'
            """,
            (fault.reason, fault.held_by, load.load_id),
        )
        cursor.execute(
            """
            insert into ops.runs
                (step, load_ids, row_count, reject_count, status, error, rule_version, started_at, finished_at)
            values ('load', %s, 0, 0, %s, %s, %s, %s, clock_timestamp())
            """,
            (
                [load.load_id],
                "blocked" if fault.held_by else "failed",
                fault.reason,
                batch.rule_version,
                batch.started_at,
            ),
        )
        cursor.execute("select pg_notify('load_finished', %s)", (batch.source,))
    return batch


def next_known_at(connection: PgConnection) -> datetime:
    """The moment this run's changes become known: now, but after every run before it, whatever the clock did."""
    with connection.cursor() as cursor:
        cursor.execute("select greatest(now(), max(known_at) + interval '1 microsecond') from ops.runs")
        [(known_at,)] = cursor.fetchall()
    return known_at  # type: ignore[no-any-return]  # a timestamptz is a datetime


def _next_loads(connection: PgConnection, only: list[int] | None) -> list[Load]:
    """The oldest received load and more of the same source, as much as one batch should hold; or of the given ids."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select load_id, source, file_name, released_at is not null
            from (
                select load_id, source, file_name, released_at,
                    sum(byte_count) over (order by load_id) - byte_count as bytes_before
                from ops.loads
                where status = 'received'
                and source = (
                    select source from ops.loads
                    where status = 'received' and (%(only)s::bigint[] is null or load_id = any(%(only)s))
                    order by load_id limit 1
                )
                and (%(only)s::bigint[] is null or load_id = any(%(only)s))
            ) as waiting
            where bytes_before < %(most_bytes)s
            order by load_id limit %(most_loads)s
            """,
            {"only": only, "most_bytes": BATCH_BYTES, "most_loads": BATCH_LOADS},
        )
        return [Load(*row) for row in cursor.fetchall()]


def _take(connection: PgConnection, load: Load, contract: Contract | None, settings: Settings, batch: _Batch) -> None:
    """One load into the stages; a document that can't be read refuses its load and no other."""
    with connection.cursor() as cursor:
        cursor.execute("savepoint one_load")
        try:
            if contract is None:
                raise DocumentRefused(f"there is no contract for source {load.source}")
            batch.taken[load.load_id] = take_load(connection, load, contract, settings)
            cursor.execute("release savepoint one_load")
        except (DocumentRefused, ContractError) as refusal:
            cursor.execute("rollback to savepoint one_load")
            batch.refused[load.load_id] = refusal.message


# Marts carry names for their readers; one that changed changes on all days, not only on those refreshed. Only what this
# run changed is looked for: otherwise every refresh would read the marts of all days.
_PRODUCT_NAMES = """
update marts.{0} as mart set product_name = product.product_name, category = product.category
from core.products as product
where mart.product_id = product.product_id and product.known_from = %(known_at)s
and (mart.product_name, mart.category) is distinct from (product.product_name, product.category)
"""
_STORE_NAMES = """
update marts.{0} as mart set store_name = store.store_name
from core.stores as store
where mart.store_id = store.store_id and store.known_from = %(known_at)s and mart.store_name <> store.store_name
"""
_UNITS = """
update marts.{0} as mart set unit = coalesce(item.unit, product.unit)
from core.products as product left join core.inventory as item using (product_id)
where mart.product_id = product.product_id and %(known_at)s in (product.known_from, item.known_from)
and mart.unit is distinct from coalesce(item.unit, product.unit)
"""
_STOCK_HISTORIES = ("waste", "inventory_turnover")
RENAMINGS = (
    *(_PRODUCT_NAMES.format(mart) for mart in ("daily_product_sales", "inventory_status", *_STOCK_HISTORIES)),
    *(
        _STORE_NAMES.format(mart)
        for mart in ("daily_store_sales", "monthly_store_sales", "inventory_status", *_STOCK_HISTORIES)
    ),
    *(_UNITS.format(mart) for mart in _STOCK_HISTORIES),
)


def _build_core(connection: PgConnection, contract: Contract, batch: _Batch) -> None:
    """Core and marts of the batch's kinds from its stages; all of it becomes known at one moment."""
    parameters = {
        "source": contract.source,
        "catalogue": contract.catalogue,
        "currency_code": contract.currency_code,
        "time_zone": contract.time_zone,
        "known_at": batch.known_at,
        "raw_ids_per_document": RAW_IDS_PER_DOCUMENT,
        "rule_version": batch.rule_version,
    }
    kinds = _staged_kinds(connection, contract)
    if not kinds:
        return
    _see_stores(connection, contract, kinds)
    for table in DIMENSIONS:
        merge(connection, table, parameters)
    sales_moved = match_customers(connection, contract, parameters)
    _start_subjects(connection)
    if "sale_lines" in kinds:
        _build_sales(connection, parameters)
    elif sales_moved:
        start_affected(connection)
        refresh_sales_marts(connection, parameters)
    if kinds & {"sale_lines", "customers"}:
        _build_funnel(connection, parameters)
    if contract.system == "inventory" or kinds & {"stock_levels", "stock_movements", "deliveries"}:
        _build_stock(connection, contract, kinds, parameters)
    with connection.cursor() as cursor:
        for statement in RENAMINGS:
            cursor.execute(statement, parameters)


def _staged_kinds(connection: PgConnection, contract: Contract) -> set[Kind]:
    with connection.cursor() as cursor:
        found: set[Kind] = set()
        for kind in {entity.kind for entity in contract.entities}:
            cursor.execute(f"analyze stage_{kind}; select exists (select from stage_{kind})")  # noqa: S608  # kind is one of our own eight words
            [(is_there,)] = cursor.fetchall()
            if is_there:
                found.add(kind)
    return found


def _see_stores(connection: PgConnection, contract: Contract, kinds: set[Kind]) -> None:
    """The stores named in the batch, with what the contract says of them."""
    placed = sorted(kinds & {"sale_lines", "stores", "stock_levels", "stock_movements", "deliveries"})
    ours = {store.store_id: store for store in contract.stores.values()}
    if contract.default_store:
        ours[contract.default_store.store_id] = contract.default_store
    with connection.cursor() as cursor:
        cursor.execute(
            """
            create temporary table stage_seen_stores (
                store_id text, store_name text, kind text, time_zone text, closing_time time, is_in_contract boolean
            ) on commit drop
            """
        )
        if not placed:
            return
        cursor.execute(" union ".join(f"select distinct store_id from stage_{kind}" for kind in placed))  # noqa: S608  # kind is one of our own words
        rows = [
            (
                store_id,
                ours[store_id].store_name if store_id in ours else store_id.partition(":")[2] or store_id,
                ours[store_id].kind if store_id in ours else "unknown",
                contract.time_zone,
                contract.closing_time,
                store_id in ours,
            )
            for (store_id,) in cursor.fetchall()
        ]
        extras.execute_values(cursor, "insert into stage_seen_stores values %s", rows)


AFFECTED_DAYS = """
select distinct sale.business_date, sale.store_id, sale.source
from core.sales as sale
inner join winning_receipts as winner on sale.sale_id = winner.sale_id
"""
AFFECTED_CUSTOMERS = """
select distinct sale.customer_id, sale.source
from core.sales as sale
inner join winning_receipts as winner on sale.sale_id = winner.sale_id
where sale.customer_id is not null
"""
# Orders of the batch, and those its refunds reverse: their stages in the funnel.
AFFECTED_ORDERS = """
select coalesce(sale.reverses_sale_id, sale.sale_id) as subject_id
from core.sales as sale
inner join winning_receipts as winner on sale.sale_id = winner.sale_id
"""
AFFECTED_CONTACTS = """
select contact.customer_id as subject_id
from core.customer_sources as contact
inner join stage_customers as listed on contact.source_customer_id = listed.customer
where contact.source = %(source)s
"""
AFFECTED_FUNNEL_MONTHS = """
select date_trunc('month', event.entered_on)::date as month
from core.funnel_events as event
inner join affected_subjects as affected on event.subject_id = affected.subject_id
"""
AFFECTED_STOCK_DAYS = """
select distinct move.business_date, move.store_id, move.source, move.product_id
from core.stock_movements as move
inner join stage_stock_movements as staged on move.movement_id = core.key(%(source)s, 'movement', staged.movement)
"""


def _build_sales(connection: PgConnection, parameters: Mapping[str, Any]) -> None:
    """Receipts, then the marts of the days and customers they touch: as they were before, and as they are now."""
    with connection.cursor() as cursor:
        create_result(cursor, "winning_receipts", "core", parameters)
        start_affected(connection)
        cursor.execute(f"insert into affected_days {AFFECTED_DAYS}", parameters)
        cursor.execute(f"insert into affected_customers {AFFECTED_CUSTOMERS}", parameters)
        cursor.execute(f"insert into affected_subjects {AFFECTED_ORDERS}", parameters)
        create_result(cursor, "withdrawn_voids", "core", parameters)
        for table in reversed(SALES):
            remove(connection, table, "withdrawn_voids", parameters)
        for table in SALES:
            merge(connection, table, parameters)
        create_result(cursor, "sale_reversals", "core", parameters)
        set_column(connection, SALES[0], "reverses_sale_id", "sale_reversals", parameters)
        cursor.execute(f"insert into affected_days {AFFECTED_DAYS}", parameters)
        cursor.execute(f"insert into affected_customers {AFFECTED_CUSTOMERS}", parameters)
        cursor.execute(f"insert into affected_subjects {AFFECTED_ORDERS}", parameters)
        cursor.execute("insert into affected_subjects select customer_id from affected_customers")
        refresh_sales_marts(connection, parameters)


# What the marts of an affected day read more than once, in order.
_AFFECTED = (
    "affected_receipts",
    "affected_items",
    "moved_cohorts",
    "affected_cohort_months",
    "moved_customers",
    "affected_kind_days",
)


def refresh_sales_marts(connection: PgConnection, parameters: Mapping[str, Any]) -> None:
    """The sales marts of the rows in affected_days and affected_customers (temporary tables, repeats allowed)."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            create temporary table each_day on commit drop as select distinct * from affected_days;
            create temporary table each_customer on commit drop as select distinct * from affected_customers;
            drop table affected_days; drop table affected_customers;
            alter table each_day rename to affected_days;
            alter table each_customer rename to affected_customers;
            create temporary table affected_months on commit drop as
            select distinct date_trunc('month', business_date)::date as month, store_id, source from affected_days;
            analyze affected_days; analyze affected_customers; analyze affected_months
            """
        )
        for name in _AFFECTED:
            create_result(cursor, name, "marts", parameters)
    for table in SALES_MARTS:
        merge(connection, table, parameters)
    with connection.cursor() as cursor:
        create_result(cursor, "affected_retention_months", "marts", parameters)
    for table in CUSTOMER_MARTS:
        merge(connection, table, parameters)
    publish_figures(connection, parameters)


def _start_subjects(connection: PgConnection) -> None:
    """affected_subjects (temporary table): customers and orders whose stages in the funnel are worked out anew."""
    with connection.cursor() as cursor:
        cursor.execute(
            "create temporary table affected_subjects on commit drop as select subject_id from repointed_subjects"
        )


def follow_matching(connection: PgConnection, parameters: Mapping[str, Any]) -> None:
    """Marts and funnel after persons were matched anew outside of a load; reads what rematch left."""
    create_stages(connection)
    _start_subjects(connection)
    start_affected(connection)
    refresh_sales_marts(connection, parameters)
    _build_funnel(connection, {"source": None, "time_zone": "UTC", **parameters})


def _build_funnel(connection: PgConnection, parameters: Mapping[str, Any]) -> None:
    """The stages reached by affected_subjects, and the funnel of the months they entered in, before and now."""
    with connection.cursor() as cursor:
        cursor.execute(f"insert into affected_subjects {AFFECTED_CONTACTS}", parameters)
        cursor.execute("analyze affected_subjects")
        cursor.execute(f"create temporary table affected_funnel_months on commit drop as {AFFECTED_FUNNEL_MONTHS}")
        merge(connection, FUNNEL_EVENTS, parameters)
        cursor.execute(f"insert into affected_funnel_months {AFFECTED_FUNNEL_MONTHS}")
    merge(connection, SALES_FUNNEL, parameters)


def _build_stock(connection: PgConnection, contract: Contract, kinds: set[Kind], parameters: Mapping[str, Any]) -> None:
    """Stock, then the marts of the days and months the batch's movements are in, or were in before."""
    if "products" in kinds and contract.system == "inventory":
        merge(connection, INVENTORY, parameters)
    with connection.cursor() as cursor:
        affected = f"create temporary table affected_stock_days on commit drop as {AFFECTED_STOCK_DAYS}"
        cursor.execute(affected, parameters)
        for table in STOCK:
            if table.name in kinds:
                merge(connection, table, parameters)
        cursor.execute(f"insert into affected_stock_days {AFFECTED_STOCK_DAYS}", parameters)
        create_result(cursor, "affected_stock_months", "marts", parameters)
    for table in (*STOCK_MARTS, *(MOVEMENT_MARTS if "stock_movements" in kinds else ())):
        merge(connection, table, parameters)


def _finish(connection: PgConnection, batch: _Batch) -> None:
    """Write down each load's outcome."""
    with connection.cursor() as cursor:
        for load_id, taken in batch.taken.items():
            cursor.execute(
                """
                update ops.loads
                set status = 'loaded', reason = null, held_by = null,
                    record_count = %s, row_count = %s, reject_count = %s, profile = %s,
                    newest_record_at = greatest(newest_record_at, %s), finished_at = clock_timestamp()
                where load_id = %s
                """,
                (
                    taken.records,
                    taken.rows,
                    taken.rejects,
                    extras.Json({**taken.profile, "unknown_columns": taken.unknown_columns}),
                    taken.newest_record_at,
                    load_id,
                ),
            )
        for load_id, reason in batch.refused.items():
            cursor.execute(
                """
                update ops.loads
                set status = 'refused', reason = %s, record_count = 0, row_count = 0, reject_count = 0,
                    finished_at = clock_timestamp()
                where load_id = %s
                """,
                (reason, load_id),
            )
        cursor.execute(
            """
            insert into ops.runs
                (step, load_ids, row_count, reject_count, status, known_at, rule_version, started_at, finished_at)
            values ('load', %s, %s, %s, 'done', %s, %s, %s, clock_timestamp())
            """,
            (
                [*batch.taken, *batch.refused],
                sum(taken.rows for taken in batch.taken.values()),
                sum(taken.rejects for taken in batch.taken.values()),
                batch.known_at,
                batch.rule_version,
                batch.started_at,
            ),
        )
        cursor.execute("select pg_notify('load_finished', %s)", (batch.source,))


def _refresh_freshness(connection: PgConnection, contracts: Mapping[str, Contract]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            create temporary table contract_sources (
                source text, title text, warn_after_hours integer, error_after_hours integer
            ) on commit drop
            """
        )
        extras.execute_values(
            cursor,
            "insert into contract_sources values %s",
            [(c.source, c.title, c.warn_after_hours, c.error_after_hours) for c in contracts.values()],
        )
    merge(connection, DATA_FRESHNESS, {})


def discard_unpublished(settings: Settings) -> None:
    """Remove Parquet files of runs that never committed."""
    for part in settings.formatted.rglob("*.part"):
        with suppress(OSError):
            part.unlink()
