"""
Formatted: one function per kind of record; a chunk's frame in, typed rows and rejects out.

The rows of each kind are described by ROWS; every row names the record it came from by `position`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from transforms.contract import Contract, Entity, Kind, Value
from transforms.documents import POSITION
from transforms.formatted import amounts, moments
from transforms.formatted.columns import Faults, type_column, type_columns
from transforms.formatted.sale_lines import finish_sale_lines
from transforms.formatted.values import TEXT
from transforms.formatted.work import Work, or_else, store_ids, tell_people, to_utc
from transforms.rules import products

_TEXT, _DAY, _MOMENT, _YES = pa.string(), pa.date32(), pa.timestamp("us", "UTC"), pa.bool_()
_MONEY, _NUMBER = pa.decimal128(14, 2), pa.decimal128(14, 4)


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema([("position", pa.int64()), *columns.items()])


# One row per what, key:
ROWS: dict[Kind, pa.Schema] = {
    # sale line; several rows of one receipt_number make the receipt, in the order of position
    "sale_lines": _schema(
        receipt_number=_TEXT,
        event=_TEXT,
        store_id=_TEXT,
        customer=_TEXT,
        customer_name=_TEXT,
        customer_email=_TEXT,
        customer_phone=_TEXT,
        customer_postal_code=_TEXT,
        loyalty_card=_TEXT,
        employee=_TEXT,
        employee_name=_TEXT,
        channel=_TEXT,
        sold_at=_MOMENT,
        business_date=_DAY,
        product_key=_TEXT,
        product_name=_TEXT,
        category=_TEXT,
        variation=_TEXT,
        modifiers=_TEXT,
        quantity=_NUMBER,
        unit_price=_NUMBER,
        gross_amount=_MONEY,
        discount_amount=_MONEY,
        net_amount=_MONEY,
        tax_amount=_MONEY,
        tip_amount=_MONEY,
        gift_card_amount=_MONEY,
        currency_code=_TEXT,
        amount_origin=_TEXT,
        payment_reference=_TEXT,
        payment_method=_TEXT,
        card_brand=_TEXT,
        card_last_digits=_TEXT,
        reverses_receipt_number=_TEXT,
        note=_TEXT,
        updated_at=_MOMENT,
    ),
    # customer as the source knows it, key customer
    "customers": _schema(
        customer=_TEXT,
        full_name=_TEXT,
        email=_TEXT,
        phone=_TEXT,
        postal_code=_TEXT,
        loyalty_card=_TEXT,
        customer_since=_DAY,
        is_deleted=_YES,
        merged_customers=_TEXT,
        pos_customer=_TEXT,
        stage=_TEXT,
        note=_TEXT,
        updated_at=_MOMENT,
    ),
    # product or ingredient, key product_key
    "products": _schema(
        product_key=_TEXT,
        product_name=_TEXT,
        category=_TEXT,
        kind=_TEXT,
        unit=_TEXT,
        list_price=_NUMBER,
        unit_cost=_NUMBER,
        reorder_level=_NUMBER,
        supplier=_TEXT,
        supplier_name=_TEXT,
        is_active=_YES,
        updated_at=_MOMENT,
    ),
    # store, key store_id
    "stores": _schema(store_id=_TEXT, store_name=_TEXT, kind=_TEXT, city=_TEXT, updated_at=_MOMENT),
    # employee, key employee
    "employees": _schema(employee=_TEXT, full_name=_TEXT, job_title=_TEXT, started_on=_DAY, updated_at=_MOMENT),
    # product and store, key both
    "stock_levels": _schema(
        product_key=_TEXT, store_id=_TEXT, on_hand_quantity=_NUMBER, reorder_level=_NUMBER, counted_at=_MOMENT
    ),
    # movement of stock, key movement; quantity is what was added, negative what left
    "stock_movements": _schema(
        movement=_TEXT,
        product_key=_TEXT,
        store_id=_TEXT,
        kind=_TEXT,
        quantity=_NUMBER,
        unit_cost=_NUMBER,
        moved_at=_MOMENT,
        business_date=_DAY,
        updated_at=_MOMENT,
    ),
    # line of a supplier's delivery, in the order of position
    "deliveries": _schema(
        delivery=_TEXT,
        supplier=_TEXT,
        supplier_name=_TEXT,
        store_id=_TEXT,
        delivered_at=_MOMENT,
        product_key=_TEXT,
        quantity=_NUMBER,
        unit=_TEXT,
        unit_cost=_NUMBER,
        expires_on=_DAY,
    ),
}
# Columns that core's tables have in every row.
NEVER_MISSING: dict[Kind, tuple[str, ...]] = {
    "sale_lines": ("receipt_number", "sold_at", "business_date", "product_name"),
    "customers": ("customer",),
    "products": ("product_key",),
    "stores": ("store",),
    "employees": ("employee",),
    "stock_levels": ("product_key", "on_hand_quantity"),
    "stock_movements": ("movement", "product_key", "kind", "quantity", "moved_at", "business_date"),
    "deliveries": ("delivery", "supplier", "product_key", "delivered_at", "quantity"),
}
KNOWN_KINDS: dict[Kind, tuple[str, ...]] = {
    "products": ("sold", "ingredient"),
    "stores": ("shop", "delivery", "warehouse", "unknown"),
    "stock_movements": ("opening", "delivery", "production", "sale", "use", "waste", "count", "transfer", "return"),
}


@dataclass(frozen=True)
class Formatted:
    """
    rows: typed, columns of ROWS[kind]. rejects: one per refused record (position, reason, column_name,
    received_value). profile: what was found before any row was refused, counts and sums by name.
    """

    rows: pa.Table
    rejects: pd.DataFrame
    profile: dict[str, dict[str, Any]]


def format_records(frame: pd.DataFrame, contract: Contract, entity: Entity) -> Formatted:
    """
    Turn a chunk's received texts into typed rows of the entity's kind.

    A record with a fault gives one reject with its first reason and no row; the others are not touched by it.
    """
    if frame.empty:
        return Formatted(ROWS[entity.kind].empty_table(), _rejects(frame, Faults.none_yet(frame.index)), {})
    typed, faults = type_columns(frame, entity)
    work = Work(frame, typed, contract, entity, faults, {})
    rows = _FINISH[entity.kind](work)
    _refuse_what_core_can_not_hold(rows, work)
    refused = frame[POSITION][faults.found]
    kept = rows[~rows["position"].isin(refused)]
    return Formatted(_table(kept, ROWS[entity.kind]), _rejects(frame, faults), work.profile)


def _refuse_what_core_can_not_hold(rows: pd.DataFrame, work: Work) -> None:
    """Whatever the contract lets pass: a row without its keys, or of a kind core does not know, is a fault."""
    positions = work.frame[POSITION]
    for name in NEVER_MISSING[work.entity.kind]:
        missing = rows["position"][rows[name].isna()]
        if len(missing):
            work.faults.add(positions.isin(missing), f"{name} is missing", name, None)
    known = KNOWN_KINDS.get(work.entity.kind)
    if known and "kind" in rows:
        odd = rows["position"][~rows["kind"].isin(known)]
        work.faults.add(positions.isin(odd), f"the kind is none of: {', '.join(known)}", "kind", None)


def _rejects(frame: pd.DataFrame, faults: Faults) -> pd.DataFrame:
    found = faults.found
    rejects = pd.DataFrame(
        {
            "position": frame[POSITION][found] if len(frame) else pd.Series(dtype="int64"),
            "reason": faults.reason[found],
            "column_name": faults.column[found],
            "received_value": faults.value[found],
        }
    )
    return rejects.drop_duplicates("position")


def _table(rows: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    columns = []
    for field in schema:
        if field.name not in rows.columns:
            columns.append(pa.nulls(len(rows), field.type))
            continue
        values = pa.array(rows[field.name])
        # Nanoseconds are all zero below the microsecond; dates come as midnight.
        columns.append(values.cast(field.type, safe=not pa.types.is_temporal(field.type)))
    return pa.Table.from_arrays(columns, schema=schema)


# --- the other kinds ---------------------------------------------------------------------------------------


def _finish_customers(work: Work) -> pd.DataFrame:
    contract = work.contract
    rows = work.typed.copy()
    tell_people(rows, contract)
    rows["full_name"] = _full_name(rows)
    deleted = rows["is_deleted"] if "is_deleted" in rows else pd.Series(False, index=rows.index)
    rows["is_deleted"] = deleted.fillna(False).astype(bool)
    to_utc(rows, "updated_at", contract)
    if "customer_since" in rows and getattr(rows["customer_since"].dt, "tz", None) is not None:
        rows["customer_since"] = moments.utc_to_local(rows["customer_since"], contract.time_zone).dt.normalize()
    return rows


def _finish_products(work: Work) -> pd.DataFrame:
    rows = work.typed.assign(kind=or_else(work.typed.get("kind"), "sold", work.typed.index))
    to_utc(rows, "updated_at", work.contract)
    if "product_name" in rows:
        rows["product_name"] = products.product_name(rows["product_name"]).values
    return _in_units(rows, work)


def _finish_stores(work: Work) -> pd.DataFrame:
    rows = _with_store_ids(work)
    to_utc(rows, "updated_at", work.contract)
    return rows.assign(kind=or_else(rows.get("kind"), "shop", rows.index))


def _finish_employees(work: Work) -> pd.DataFrame:
    rows = work.typed.copy()
    tell_people(rows, work.contract)
    to_utc(rows, "updated_at", work.contract)
    return rows.assign(full_name=_full_name(rows))


def _finish_stock_levels(work: Work) -> pd.DataFrame:
    rows = _with_store_ids(work)
    to_utc(rows, "counted_at", work.contract)
    return _in_units(rows, work)


def _finish_stock_movements(work: Work) -> pd.DataFrame:
    contract = work.contract
    rows = _with_store_ids(work)
    if "moved_on" in rows:
        rows["moved_at"] = rows["moved_on"] + moments.closing_delta(contract)  # the day is all that is known
    to_utc(rows, "moved_at", contract)
    to_utc(rows, "updated_at", contract)
    rows["business_date"] = moments.business_date(moments.utc_to_local(rows["moved_at"], contract.time_zone), contract)
    return _unpivoted(rows, work) if work.entity.unpivot else _in_units(rows, work)


def _unpivoted(rows: pd.DataFrame, work: Work) -> pd.DataFrame:
    """One movement per counted column of a record."""
    parts = []
    for part in work.entity.unpivot:
        value = Value.model_validate({"from": part.column, "type": "decimal", "required": True})
        counted = type_column(work.frame, "quantity", value, work.entity, work.faults)
        quantity = counted if part.sign == 1 else amounts.negated(counted)
        parts.append(rows.assign(movement=rows["movement"] + "/" + part.kind, kind=part.kind, quantity=quantity))
    return pd.concat(parts, ignore_index=True)


def _finish_deliveries(work: Work) -> pd.DataFrame:
    rows = _with_store_ids(work)
    to_utc(rows, "delivered_at", work.contract)
    return _in_units(rows, work)


def _in_units(rows: pd.DataFrame, work: Work) -> pd.DataFrame:
    """Quantities and prices in the units the contract counts in."""
    if "unit" in rows and work.entity.units:
        work.apply(products.unit(rows, work.entity.units), rows, "unit")
    return rows


def _with_store_ids(work: Work) -> pd.DataFrame:
    typed = work.typed
    return typed.assign(store_id=store_ids(typed.get("store"), work.contract, typed.index))


def _full_name(typed: pd.DataFrame) -> pd.Series[Any]:
    if "full_name" in typed:
        return typed["full_name"]
    empty = pd.Series("", index=typed.index, dtype=TEXT)
    first, last = (typed[name].fillna("") if name in typed else empty for name in ("first_name", "last_name"))
    name = (first + " " + last).str.strip()
    return name.where(name != "", None)


_FINISH: dict[Kind, Callable[[Work], pd.DataFrame]] = {
    "sale_lines": finish_sale_lines,
    "customers": _finish_customers,
    "products": _finish_products,
    "stores": _finish_stores,
    "employees": _finish_employees,
    "stock_levels": _finish_stock_levels,
    "stock_movements": _finish_stock_movements,
    "deliveries": _finish_deliveries,
}
