"""
Lineage checked both ways: each core row has its raw record, each raw record became a row or a reject.

Comes in: raw tables, the Parquet files of the loads, rejects, core. Goes out: counts of what leads nowhere, all zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection
from pyarrow import parquet

from db.connection import connect
from panpan.settings import Settings
from transforms.contract import Contract, Entity, Kind, load_contracts
from transforms.stage import copy_table

# How a formatted row is found in core: its key columns, and where they must stand for the row's source.
FOUND: dict[Kind, tuple[str, str]] = {
    "sale_lines": (
        "receipt_number",
        "select from core.sales as kept "
        "where kept.source = %(source)s and kept.receipt_number = formatted.receipt_number",
    ),
    "customers": (
        "customer",
        "select from core.customer_sources as kept "
        "where kept.source = %(source)s and kept.source_customer_id = formatted.customer",
    ),
    "products": (
        "product_key",
        "select from core.products as kept "
        "where kept.catalogue = %(catalogue)s and kept.product_key = formatted.product_key",
    ),
    "stores": ("store_id", "select from core.stores as kept where kept.store_id = formatted.store_id"),
    "employees": (
        "employee",
        "select from core.employees as kept "
        "where kept.source = %(source)s and kept.source_employee_id = formatted.employee",
    ),
    "stock_levels": (
        "product_key",
        "select from core.stock_levels as kept where kept.product_id = core.key(%(catalogue)s, formatted.product_key)",
    ),
    "stock_movements": (
        "movement",
        "select from core.stock_movements as kept "
        "where kept.source = %(source)s and kept.source_movement_id = formatted.movement",
    ),
    "deliveries": (
        "delivery",
        "select from core.deliveries as kept "
        "where kept.source = %(source)s and kept.source_delivery_id = formatted.delivery",
    ),
}
_LOADED = "record.load_id in (select load_id from ops.loads where source = %(source)s and status = 'loaded')"
_OF_SOURCE = "kept.source = %s"
_OF_SALES = "kept.sale_id in (select sale_id from core.sales where source = %s)"
# The core tables whose rows name a record of the kind, and which of their rows are a source's.
MADE_OF: dict[Kind, dict[str, str]] = {
    "sale_lines": {"sales": _OF_SOURCE, "sale_lines": _OF_SALES, "payments": _OF_SALES},
    "stock_levels": {"stock_levels": _OF_SOURCE},
    "stock_movements": {"stock_movements": _OF_SOURCE},
    "deliveries": {"deliveries": _OF_SOURCE},
}


@dataclass(frozen=True)
class Audit:
    """One entity of one source: its raw records and what became of them. The last three must be zero."""

    source: str
    entity: str
    raw_records: int
    formatted_rows: int
    rejects: int
    leads_nowhere: int
    missing_in_core: int
    core_rows_without_record: int

    @property
    def is_whole(self) -> bool:
        return not (self.leads_nowhere or self.missing_in_core or self.core_rows_without_record)


def audit(settings: Settings) -> list[Audit]:
    """Check every entity of every source that has sent something."""
    found = []
    for contract in load_contracts(settings.own_contracts).values():
        for entity in contract.entities:
            with connect(settings, "transformer") as connection:
                checked = _audit_entity(connection, settings, contract, entity)
            if checked.raw_records or checked.formatted_rows:
                found.append(checked)
    return found


def _audit_entity(connection: PgConnection, settings: Settings, contract: Contract, entity: Entity) -> Audit:
    key, in_core = FOUND[entity.kind]
    rows = _stage_formatted(connection, settings, contract, entity, key)
    raw = sql.Identifier(f"raw_{contract.system}", entity.entity)
    parameters = {"source": contract.source, "catalogue": contract.catalogue, "entity": entity.entity}
    with connection.cursor() as cursor:

        def count(statement: str) -> int:
            parts = {"raw": raw, "of_source": sql.SQL(_LOADED), "in_core": sql.SQL(in_core)}
            cursor.execute(sql.SQL(statement).format(**parts), parameters)
            [(number,)] = cursor.fetchall()
            return int(number)

        return Audit(
            contract.source,
            entity.entity,
            raw_records=count("select count(*) from {raw} as record where {of_source}"),
            formatted_rows=rows,
            rejects=count(
                "select count(*) from ops.rejects "
                "where source = %(source)s and entity = %(entity)s and resolved_at is null"
            ),
            leads_nowhere=count(
                """
                with nowhere as materialized (
                    select record.payload from {raw} as record
                    where {of_source}
                    and not exists (select from formatted where formatted.raw_id = record.raw_id)
                    and not exists (
                        select from ops.rejects as reject
                        where reject.raw_id = record.raw_id and reject.source = %(source)s
                        and reject.resolved_at is null
                    )
                )
                select count(*) from nowhere  -- rows without anything were records once, and lead nowhere
                where exists (select from jsonb_each_text(nowhere.payload) where value <> '')
                """
            ),
            missing_in_core=count("select count(*) from formatted where not exists ({in_core})"),
            core_rows_without_record=_core_rows_without_record(connection, contract, entity),
        )


def _stage_formatted(connection: PgConnection, settings: Settings, contract: Contract, entity: Entity, key: str) -> int:
    """raw_id and key of every formatted row, in a temporary table; gives their number."""
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("create temporary table formatted (raw_id bigint, {} text) on commit drop").format(
                sql.Identifier(key)
            )
        )
        cursor.execute("select load_id from ops.loads where source = %s and status = 'loaded'", (contract.source,))
        loaded = {load_id for (load_id,) in cursor.fetchall()}
    rows = 0
    for file in sorted((settings.formatted / contract.source / entity.entity).glob("load_*.parquet")):
        if int(file.stem.removeprefix("load_")) in loaded:
            table = parquet.read_table(file, columns=["raw_id", key])
            copy_table(connection, "formatted", table.cast(pa.schema([("raw_id", pa.int64()), (key, pa.string())])))
            rows += table.num_rows
    with connection.cursor() as cursor:
        cursor.execute("create index on formatted (raw_id); analyze formatted")
    return rows


def _core_rows_without_record(connection: PgConnection, contract: Contract, entity: Entity) -> int:
    """Core rows of the source that name a raw record which is not there."""
    missing = 0
    with connection.cursor() as cursor:
        for name, of_source in MADE_OF.get(entity.kind, {}).items():
            cursor.execute(
                sql.SQL(
                    "select count(*) from {table} as kept where {of_source} "
                    "and not exists (select from {raw} as record where record.raw_id = kept.raw_id)"
                ).format(
                    table=sql.Identifier("core", name),
                    of_source=sql.SQL(of_source),
                    raw=sql.Identifier(f"raw_{contract.system}", entity.entity),
                ),
                (contract.source,),
            )
            [(count,)] = cursor.fetchall()
            missing += int(count)
    return missing
