"""
Files of a CRM or an inventory system: customers, products, stock levels, deliveries, movements, by name.

Comes in: the table and what the person asked for. Goes out: a Draft of the kind whose columns the file has.
"""

from __future__ import annotations

from collections.abc import Mapping

from panpan.errors import ContractError
from transforms.infer.amounts import decide_currency, decide_writing
from transforms.infer.board import Board, Fits
from transforms.infer.clock import ASSUMED_ZONE, decide_order, formats_of
from transforms.infer.columns import Column
from transforms.infer.decisions import Draft, DraftValue
from transforms.infer.meanings import CRM, INVENTORY
from transforms.infer.options import Options

# The inventory kinds, each with the meanings a file must have; the first that fits is taken.
INVENTORY_KINDS: Mapping[str, frozenset[str]] = {
    "deliveries": frozenset({"delivery", "product_key", "quantity", "moved_at"}),
    "stock_movements": frozenset({"product_key", "kind", "quantity", "moved_at"}),
    "stock_levels": frozenset({"product_key", "on_hand_quantity"}),
    "products": frozenset({"product_key"}),
}
# What a meaning is called where the kind has its own word.
OWN_WORDS: Mapping[str, Mapping[str, str]] = {
    "deliveries": {"moved_at": "delivered_at"},
    "stock_levels": {"moved_at": "counted_at"},
}
KIND_COLUMNS: Mapping[str, frozenset[str]] = {
    "customers": frozenset(CRM),
    "deliveries": frozenset(
        [
            "delivery",
            "supplier",
            "supplier_name",
            "store",
            "moved_at",
            "product_key",
            "quantity",
            "unit",
            "unit_cost",
            "expires_on",
        ]
    ),
    "stock_movements": frozenset(
        ["movement", "product_key", "store", "kind", "quantity", "unit_cost", "moved_at", "updated_at"]
    ),
    "stock_levels": frozenset(["product_key", "store", "on_hand_quantity", "reorder_level", "moved_at"]),
    "products": frozenset(
        [
            "product_key",
            "product_name",
            "category",
            "unit",
            "list_price",
            "unit_cost",
            "reorder_level",
            "supplier",
            "supplier_name",
            "updated_at",
        ]
    ),
}
KEYS: Mapping[str, tuple[str, ...]] = {
    "customers": ("customer",),
    "deliveries": ("delivery", "product_key"),
    "stock_movements": ("movement",),
    "stock_levels": ("product_key", "store"),
    "products": ("product_key",),
}
DATES = frozenset({"customer_since", "moved_at", "expires_on", "updated_at"})
MONEY = frozenset({"list_price", "unit_cost"})
DECIMALS = frozenset({"on_hand_quantity", "quantity", "reorder_level"})


def _is_dated(column: Column) -> bool:
    return column.date_share + column.moment_share >= 0.8


_DATE_FITS: dict[str, Fits] = {name: lambda c: _is_dated(c.column) for name in DATES}
_NUMBER_FITS: dict[str, Fits] = {name: lambda c: c.column.number_share >= 0.8 for name in MONEY | DECIMALS}
FITS: dict[str, Fits] = {
    **_DATE_FITS,
    **_NUMBER_FITS,
    "customer": lambda c: c.column.distinct_count > 0.9 * c.column.filled_share * len(c.column.codes),
    "email": lambda c: c.column.share(lambda t: "@" in t) > 0.5,
    "supplier_name": lambda c: c.column.number_share < 0.5,
}


def draft_masters(board: Board, options: Options) -> Draft:
    """The draft. Errors: ContractError when nothing names the records."""
    board.assign(CRM if options.system == "crm" else INVENTORY, FITS)
    if "product_key" not in board.taken and "product_name" in board.taken:
        board.take("product_key", board.taken["product_name"])  # products known by name only
    kind = _kind_of(board, options)
    draft = Draft(kind)
    draft.decide("kind", kind, f"it has columns for {', '.join(sorted(set(board.taken) & KIND_COLUMNS[kind]))}")
    for name in [name for name in board.taken if name not in KIND_COLUMNS[kind]]:
        board.taken.pop(name)
    decide_writing(board, draft)
    draft.currency_code = decide_currency(board, draft, options.currency)
    for meaning in sorted(board.taken, key=lambda name: board.taken[name].place):
        _write(meaning, board.taken[meaning], draft)
    _complete_keys(draft)
    zone = options.time_zone or ASSUMED_ZONE
    certainty = (
        "it was given with --time-zone"
        if options.time_zone
        else "the file names no time zone; give --time-zone or correct it here"
    )
    draft.time_zone = zone
    draft.decide("time_zone", zone, certainty, "proven" if options.time_zone else "assumed")
    return draft


def _kind_of(board: Board, options: Options) -> str:
    kinds = {"customers": frozenset({"customer"})} if options.system == "crm" else INVENTORY_KINDS
    for kind, needed in kinds.items():
        if needed <= set(board.taken):
            return kind
    what = "a column that numbers customers" if options.system == "crm" else "a column that names products"
    raise ContractError(
        f"the file lacks {what}",
        cause=f"columns: {', '.join(column.name for column in board.table.columns[:10])}",
        next="give the right --system (pos, crm, inventory), or an export with that column",
    )


def _write(meaning: str, column: Column, draft: Draft) -> None:
    name = OWN_WORDS.get(draft.kind, {}).get(meaning, meaning)
    if meaning in DATES:
        draft.columns[name] = _date_value(name, column, draft)
    else:
        kind = (
            "money"
            if meaning in MONEY
            else "decimal"
            if meaning in DECIMALS
            else "boolean"
            if meaning == "is_deleted"
            else "text"
        )
        draft.columns[name] = DraftValue(column.name, kind)
    draft.columns[name].required = name in KEYS[draft.kind] and column.filled_share == 1.0
    draft.columns[name].fold = name == "product_key" and column.share(lambda t: any(s.isdigit() for s in t)) < 0.5
    shown = (
        f"its name says so, and it holds {column.values[0]!r}"
        if column.values
        else "its name says so; it is empty in this file"
    )
    draft.decide(name, column.name, shown)


def _date_value(name: str, column: Column, draft: Draft) -> DraftValue:
    verdict = decide_order(column, None, [], prefer_month_first=False)
    forms = formats_of(column, verdict.order)
    draft.decide(name, " or ".join(forms), verdict.evidence, verdict.certainty)
    day_only = name in ("customer_since", "expires_on")
    return DraftValue(column.name, "date" if day_only else "timestamp", forms)


def _complete_keys(draft: Draft) -> None:
    """What the kind can't do without and the file does not have by itself."""
    columns = draft.columns
    if draft.kind == "products" and "product_name" not in columns:
        columns["product_name"] = DraftValue(columns["product_key"].source, required=True)
    if draft.kind == "stock_movements" and "movement" not in columns:
        parts = [columns[n].received[0] for n in ("store", "moved_at", "product_key", "kind") if n in columns]
        columns["movement"] = DraftValue(parts, required=True)
        draft.decide("movement", " + ".join(parts), "no column numbers movements", "assumed")
