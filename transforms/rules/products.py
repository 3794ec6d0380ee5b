"""Rules for what tells products apart, and in which unit they are counted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from transforms.contract import is_recreated_id, unit_ratio
from transforms.formatted import amounts
from transforms.formatted.values import fold_text, once_each
from transforms.rules.rule import Ruled, case, rule

_OWNER = "Shop manager"
_COUNTED = ("quantity", "on_hand_quantity", "reorder_level")
_PRICED = ("unit_cost", "list_price")


@rule(
    owner=_OWNER,
    reason="`matcha latte`, `Matcha Latte` and `Lemon Dream ` with a blank at its end came from one till for products "
    "it has once.",
    last_review=date(2026, 11, 20),
    passes=[
        case("matcha latte", "matcha latte"),
        case("Matcha  Latte ", "matcha latte"),
        case("CAFÉ\u00a0SOLO", "café solo"),
        case(".", "."),
    ],
    fails=[case(" ", "a key has a sign that is no blank")],
)
def product_key(texts: pd.Series[Any]) -> Ruled:
    """The key of a product known by its name: letter case and blanks do not tell apart (`fold = true`)."""
    keys = fold_text(texts)
    return Ruled(keys, ((texts.notna() & keys.isna(), "a key has a sign that is no blank"),))


@rule(
    owner=_OWNER,
    reason="People read the name, so it keeps its spelling; core shows the one on the newest sale.",
    last_review=date(2026, 11, 20),
    passes=[case("Matcha  Latte ", "Matcha Latte"), case("Lemon Dream ", "Lemon Dream"), case("DIVERS", "DIVERS")],
    fails=[case("\u00a0 ", "a name has a sign that is no blank")],
)
def product_name(texts: pd.Series[Any]) -> Ruled:
    """The name to show: single blanks, else as received."""
    names = once_each(texts, _single_blanks)
    return Ruled(names, ((texts.notna() & names.isna(), "a name has a sign that is no blank"),))


def _single_blanks(texts: pa.Array) -> pa.Array:
    single = pc.utf8_trim_whitespace(pc.replace_substring_regex(texts, r"[\s\x{00a0}]+", " "))
    return pc.if_else(pc.equal(single, ""), None, single)


@rule(
    owner=_OWNER,
    reason="The till gives an item a new token when somebody deletes and re-creates it; a key made of it would make "
    "two products of one.",
    last_review=date(2026, 11, 20),
    passes=[case("SKU", "SKU"), case("Item", "Item"), case("line_items.metadata.sku", "line_items.metadata.sku")],
    fails=[
        case("Token", "it changes when the item is re-created"),
        case("line_items.catalog_object_id", "it changes when the item is re-created"),
    ],
)
def product_token(columns: pd.Series[Any]) -> Ruled:
    """A received column the product's key may be read from; a contract that names a token is refused."""
    recreated = pd.Series([is_recreated_id(str(name)) for name in columns], index=columns.index, dtype=bool)
    return Ruled(columns.where(~recreated, None), ((recreated, "it changes when the item is re-created"),))


@rule(
    owner="Stock manager",
    reason="A supplier delivers in grams what the stock counts in kilograms. The price goes the other way, so that "
    "the value stays.",
    last_review=date(2026, 11, 20),
    passes=[
        case(
            {"unit": "g", "quantity": Decimal(2500), "unit_cost": Decimal("0.0012")},
            {"unit": "kg", "quantity": Decimal("2.5"), "unit_cost": Decimal("1.2")},
            units={"g": "kg"},
        ),
        case(
            {"unit": "Dozen", "quantity": Decimal(3), "unit_cost": Decimal(5)},
            {"unit": "pcs", "quantity": Decimal(36), "unit_cost": Decimal("0.4167")},
            units={"dozen": "pcs"},
        ),
        case({"unit": "ml", "quantity": Decimal(750)}, {"unit": "l", "quantity": Decimal("0.75")}, units={"ml": "l"}),
        case({"unit": "sack", "quantity": Decimal(3)}, {"unit": "sack", "quantity": Decimal(3)}, units={"g": "kg"}),
    ],
    fails=[
        case({"unit": "g", "quantity": Decimal(5)}, "no factor leads from g to l", units={"g": "l"}),
        case({"unit": "sack", "quantity": Decimal(5)}, "no factor leads from sack to kg", units={"sack": "kg"}),
        case(
            {"unit": "kg", "quantity": Decimal(9_999_999_999)},
            "in g the number is too large",
            units={"kg": "g"},
        ),
    ],
)
def unit(rows: pd.DataFrame, units: Mapping[str, str]) -> Ruled:
    """Quantities and prices in the unit the contract names for the received one; other units stay as they are."""
    words = fold_text(rows["unit"])
    changed = rows[[name for name in ("unit", *_COUNTED, *_PRICED) if name in rows]].copy()
    refusals: list[tuple[pd.Series[bool], str]] = []
    for word, wanted in units.items():
        there = (words == word.lower()).fillna(False).astype(bool)
        if not there.any():
            continue
        ratio = unit_ratio(word, wanted)
        if ratio is None:
            refusals.append((there, f"no factor leads from {word} to {wanted}"))
            continue
        changed["unit"] = changed["unit"].where(~there, wanted)
        for name in changed.columns.drop("unit"):
            over, under = ratio.as_integer_ratio() if name in _COUNTED else ratio.as_integer_ratio()[::-1]
            converted = amounts.times_over(changed[name], over, under)
            beyond = there & changed[name].notna() & converted.isna()
            refusals.append((beyond, f"in {wanted} the number is too large"))
            changed[name] = changed[name].where(~there, converted)
    return Ruled(changed, tuple(refusals))
