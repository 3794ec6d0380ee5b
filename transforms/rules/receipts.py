"""Rules for receipts: refunds in their forms, voids, a receipt's own values, tips, gift cards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from transforms.contract import SPREAD_COLUMNS
from transforms.formatted import amounts
from transforms.formatted.values import TEXT
from transforms.rules.money import cents, is_known, of_cents, spread
from transforms.rules.rule import Ruled, case, rule

_OWNER = "Shop manager"
_REVIEWED = date(2026, 11, 20)
EVENTS = ("sale", "refund", "void")
SIGNED = ("quantity", "gross_amount", "discount_amount", "net_amount", "tax_amount", "tip_amount", "gift_card_amount")
Told = Literal["event", "same_receipt", "negative_quantity", "none", "returns"]
_UNKNOWN_EVENT = f"none of: {', '.join(EVENTS)}"


# --- refunds -----------------------------------------------------------------------------------------------


@rule(
    reads=(
        "event",
        "quantity",
        "net_amount",
    ),
    owner=_OWNER,
    reason="Each till tells a refund in its own way; a refund counted as a sale is wrong twice. Its sale may be in "
    "another file, another month, or nowhere: the refund is kept and tied to it when it is known.",
    last_review=_REVIEWED,
    passes=[
        case(  # own receipt, tied to its sale by the payment (Square)
            {"event": "refund", "payment_reference": "P1", "net_amount": Decimal(-6)}, {"event": "refund"}, told="event"
        ),
        case({"event": None}, {"event": "sale"}, told="event"),
        case({"event": "refund"}, {"event": "refund"}, told="same_receipt"),
        case(  # a negative line among others (French bakery)
            [
                {"quantity": Decimal(2), "net_amount": Decimal(6)},
                {"quantity": Decimal(-1), "net_amount": Decimal(-3)},
                {"quantity": None, "net_amount": Decimal(-3)},
            ],
            [{"event": "sale"}, {"event": "refund"}, {"event": "refund"}],
            told="negative_quantity",
        ),
        case(  # items under the order they reverse (an API's returns)
            [
                {"event": "sale", "reverses_receipt_number": None},
                {"event": "void", "reverses_receipt_number": "O1"},
            ],
            [{"event": "sale"}, {"event": "refund"}],
            told="returns",
        ),
        case({"event": "refund", "payment_reference": None}, {"event": "refund"}, told="event"),  # without its sale
    ],
    fails=[case({"event": "theft"}, _UNKNOWN_EVENT, told="event")],
)
def refund_event(rows: pd.DataFrame, told: Told) -> Ruled:
    """What each line is: sale, refund or void; by the column event, by a negative number, or by what it reverses."""
    if told == "negative_quantity":
        returned = amounts.is_negative(rows["quantity"]) | amounts.is_negative(rows["net_amount"])
        return Ruled(pd.DataFrame({"event": _text(np.where(returned, "refund", "sale"), rows.index)}))
    event = rows["event"].fillna("sale") if "event" in rows else _text(np.full(len(rows), "sale"), rows.index)
    unknown = ~event.isin(EVENTS)
    if told == "returns":
        event = event.where(rows["reverses_receipt_number"].isna(), "refund")
    return Ruled(pd.DataFrame({"event": event}), ((unknown, _UNKNOWN_EVENT),))


@rule(
    reads=(
        "event",
        "net_amount",
    ),
    owner=_OWNER,
    reason="Some systems send what was returned as positive numbers; added to the sales it would be revenue.",
    last_review=_REVIEWED,
    passes=[
        case(
            {"event": "refund", "quantity": Decimal(1), "net_amount": Decimal("3.00"), "tax_amount": Decimal("0.30")},
            {"quantity": Decimal(-1), "net_amount": Decimal("-3.00"), "tax_amount": Decimal("-0.30")},
            numbers="positive",
        ),
        case({"event": "sale", "net_amount": Decimal(3)}, {"net_amount": Decimal(3)}, numbers="positive"),
        case(  # of two lines one is given back: a partial refund
            {"event": "refund", "quantity": Decimal(-1), "net_amount": Decimal(-3)},
            {"quantity": Decimal(-1), "net_amount": Decimal(-3)},
            numbers="negative",
        ),
    ],
    fails=[
        case(
            {"event": "refund", "net_amount": Decimal("3.00")},
            "a refund takes money back, and this adds",
            numbers="negative",
        ),
        case(
            {"event": "refund", "net_amount": Decimal("-3.00")},
            "a refund takes money back, and this adds",
            numbers="positive",
        ),
    ],
)
def refund_sign(rows: pd.DataFrame, numbers: Literal["negative", "positive"]) -> Ruled:
    """A refund's numbers are negative here, whichever sign they come with."""
    refund = (rows["event"] == "refund").fillna(False).astype(bool)
    signed = [name for name in SIGNED if name in rows]
    if not refund.any():
        return Ruled(rows[signed])
    turned = rows[signed].copy()
    if numbers == "positive":
        for name in signed:
            turned[name] = turned[name].where(~refund, amounts.negated(turned[name]))
    adds = refund & ~amounts.is_negative(turned["net_amount"]) & ~amounts.is_zero(turned["net_amount"])
    return Ruled(turned, ((adds & turned["net_amount"].notna(), "a refund takes money back, and this adds"),))


@rule(
    owner=_OWNER,
    reason="A refund that bears its sale's receipt number can come in a later file without the sale, and a receipt is "
    "replaced as a whole: the refund would take the sale's place.",
    last_review=_REVIEWED,
    passes=[
        case(
            [
                {"receipt_number": "R1", "event": "sale", "business_date": "2026-06-10"},
                {"receipt_number": "R1", "event": "refund", "business_date": "2026-07-02"},
            ],
            [
                {"receipt_number": "R1", "reverses_receipt_number": None},
                {"receipt_number": "R1#refund-2026-07-02", "reverses_receipt_number": "R1"},
            ],
        ),
    ],
    fails=[
        case({"receipt_number": None, "event": "refund", "business_date": "2026-07-02"}, "a refund names its receipt")
    ],
)
def refund_receipt(rows: pd.DataFrame) -> Ruled:
    """A refund in its sale's receipt becomes a receipt of its own, one per day, that names the sale."""
    refund = (rows["event"] == "refund").fillna(False).astype(bool)
    number = rows["receipt_number"]
    day = pd.to_datetime(rows["business_date"]).dt.strftime("%Y-%m-%d").astype(TEXT)
    named = rows.get("reverses_receipt_number", _text(np.full(len(rows), None), rows.index))
    values = pd.DataFrame(
        {
            "receipt_number": number.where(~refund, number + "#refund-" + day),
            "reverses_receipt_number": named.where(~refund, number),
        }
    )
    return Ruled(values, ((refund & number.isna(), "a refund names its receipt"),))


# --- voids -------------------------------------------------------------------------------------------------


@rule(
    owner=_OWNER,
    reason="Cancelled receipts stay in the file with positive amounts (Loyverse, Toast, Shopify) and must not count.",
    last_review=_REVIEWED,
    passes=[
        case(
            [
                {"receipt_number": "R1", "event": "sale", "is_void": True},
                {"receipt_number": "R1", "event": "sale", "is_void": False},
                {"receipt_number": "R2", "event": "sale", "is_void": False},
            ],
            [{"event": "void"}, {"event": "void"}, {"event": "sale"}],
            of="receipt",
        ),
        case(
            [
                {"receipt_number": "R1", "event": "sale", "is_void": True},
                {"receipt_number": "R1", "event": "sale", "is_void": False},
                {"receipt_number": "R2", "event": "sale", "is_void": True},
            ],
            [{"event": "sale"}, {"event": "sale"}, {"event": "void"}],
            of="line",
        ),
    ],
    fails=[case({"receipt_number": None, "event": "sale", "is_void": True}, "a void names its receipt", of="receipt")],
)
def void_event(rows: pd.DataFrame, of: Literal["receipt", "line"]) -> Ruled:
    """A receipt is void when it is flagged on any line, or, where lines are flagged one by one, on all."""
    is_void = rows["is_void"].astype(bool)
    numbers = rows["receipt_number"].astype(object)
    by_receipt = is_void.groupby(numbers).transform("any" if of == "receipt" else "all")
    void = by_receipt.eq(True)
    values = pd.DataFrame({"event": rows["event"].where(~void, "void")})
    return Ruled(values, ((is_void & numbers.isna(), "a void names its receipt"),))


@rule(
    owner=_OWNER,
    reason="What was sold and then cancelled did happen; both are kept, and every sum comes out right by itself.",
    last_review=_REVIEWED,
    passes=[
        case(
            {"receipt_number": "R1", "event": "void", "net_amount": Decimal(3), "quantity": Decimal(1)},
            [
                {"receipt_number": "R1", "event": "voided", "net_amount": Decimal(3), "reverses_receipt_number": None},
                {
                    "receipt_number": "R1#void",
                    "event": "void",
                    "net_amount": Decimal(-3),
                    "reverses_receipt_number": "R1",
                },
            ],
        ),
        case({"receipt_number": "R1", "event": "sale"}, {"receipt_number": "R1", "event": "sale"}),
    ],
    fails=[case({"receipt_number": None, "event": "void"}, "a void names its receipt")],
)
def void_receipt(rows: pd.DataFrame) -> Ruled:
    """A voided sale stays as it was, and a second receipt reverses it."""
    is_void = (rows["event"] == "void").fillna(False).astype(bool)
    if not is_void.any():
        return Ruled(rows)
    voids = _reversed(rows[is_void])
    voids["reverses_receipt_number"] = voids["receipt_number"]
    voids["receipt_number"] = voids["receipt_number"] + "#void"
    sales = rows.copy()
    sales["event"] = sales["event"].where(~is_void, "voided")
    unnamed = is_void & rows["receipt_number"].isna()
    return Ruled(pd.concat([sales, voids], ignore_index=True), ((unnamed, "a void names its receipt"),))


@rule(
    owner=_OWNER,
    reason="A line cancelled before the receipt was closed keeps its price in the file (Toast); the rest of the "
    "receipt counts.",
    last_review=_REVIEWED,
    passes=[
        case(
            [
                {
                    "receipt_number": "R1",
                    "event": "sale",
                    "is_void": True,
                    "quantity": Decimal(2),
                    "net_amount": Decimal(6),
                },
                {
                    "receipt_number": "R1",
                    "event": "sale",
                    "is_void": False,
                    "quantity": Decimal(1),
                    "net_amount": Decimal(3),
                },
            ],
            [
                {"receipt_number": "R1", "quantity": Decimal(2), "net_amount": Decimal(6)},
                {"receipt_number": "R1", "quantity": Decimal(1), "net_amount": Decimal(3)},
                {"receipt_number": "R1", "quantity": Decimal(-2), "net_amount": Decimal(-6)},
            ],
        ),
    ],
    fails=[
        case(
            {"receipt_number": "R1", "event": "voided", "is_void": True, "net_amount": Decimal(6)},
            "the receipt is void as a whole",
        )
    ],
)
def void_line(rows: pd.DataFrame) -> Ruled:
    """A void line stays, and a line with its numbers reversed stands in the same receipt."""
    flagged = rows["is_void"].astype(bool)
    whole = flagged & rows["event"].isin(["void", "voided"])
    reversals = _reversed(rows[flagged & ~whole])
    if "tip_amount" in reversals:
        reversals["tip_amount"] = amounts.unknown(reversals.index)  # the receipt's, not the line's
    values = pd.concat([rows, reversals], ignore_index=True) if len(reversals) else rows
    return Ruled(values, ((whole, "the receipt is void as a whole"),))


def _reversed(rows: pd.DataFrame) -> pd.DataFrame:
    turned = rows.copy()
    for name in SIGNED:
        if name in turned:
            turned[name] = amounts.negated(turned[name])
    return turned


# --- a receipt's own values --------------------------------------------------------------------------------


@rule(
    owner=_OWNER,
    reason="Shopify writes the order's values on its first line alone, other tools on every line: summed over lines "
    "they would count often.",
    last_review=_REVIEWED,
    passes=[
        case(
            [
                {"receipt_number": "R1", "value_amount": Decimal(5)},
                {"receipt_number": "R1", "value_amount": Decimal(5)},
            ],
            [{"value_amount": Decimal(5)}, {"value_amount": Decimal(5)}],
            told="repeated",
        ),
        case(
            [{"receipt_number": "R1", "value_amount": Decimal(5)}, {"receipt_number": "R1", "value_amount": None}],
            [{"value_amount": Decimal(5)}, {"value_amount": Decimal(5)}],
            told="first_line",
        ),
        case(
            [
                {"receipt_number": "R1", "value_amount": Decimal(5)},
                {"receipt_number": "R1", "value_amount": Decimal(0)},
            ],
            [{"value_amount": Decimal(5)}, {"value_amount": Decimal(5)}],
            told="first_line",
        ),
        case(
            [{"receipt_number": "R1", "value": "USD"}, {"receipt_number": "R1", "value": None}],
            [{"value": "USD"}, {"value": "USD"}],
            told="first_line",
        ),
    ],
    fails=[
        case(
            [
                {"receipt_number": "R1", "value_amount": Decimal(5)},
                {"receipt_number": "R1", "value_amount": Decimal(4)},
            ],
            "the lines of one receipt differ in it",
            told="repeated",
        ),
        case(
            [
                {"receipt_number": "R1", "value_amount": Decimal(5)},
                {"receipt_number": "R1", "value_amount": Decimal(4)},
            ],
            "the lines of one receipt differ in it",
            told="first_line",
        ),
    ],
)
def receipt_value(rows: pd.DataFrame, told: Literal["repeated", "first_line"]) -> Ruled:
    """The receipt's value, once and on each of its lines; lines that tell two different ones are refused."""
    [name] = rows.columns.drop("receipt_number")
    values = rows[name].astype(object)
    if told == "first_line" and name.endswith("_amount"):
        values = values.where(~amounts.is_zero(rows[name]), None)
    grouped = values.groupby(rows["receipt_number"].astype(object))
    differ = grouped.transform("nunique") > 1
    value = grouped.transform("first").where(values.isna(), values)
    value = value.where(value.notna(), rows[name].astype(object))
    return Ruled(
        pd.DataFrame({name: value.astype(rows[name].dtype)}), ((differ, "the lines of one receipt differ in it"),)
    )


@rule(
    owner=_OWNER,
    reason="A discount, tax or total of the whole receipt belongs to its lines in part; the parts must add up to "
    "it to the cent.",
    last_review=_REVIEWED,
    passes=[
        case(
            [
                {"receipt_number": "R1", "value_amount": Decimal("1.00"), "weight_amount": Decimal(3)},
                {"receipt_number": "R1", "value_amount": Decimal("1.00"), "weight_amount": Decimal(3)},
                {"receipt_number": "R1", "value_amount": Decimal("1.00"), "weight_amount": Decimal(3)},
            ],
            [{"value_amount": Decimal("0.34")}, {"value_amount": Decimal("0.33")}, {"value_amount": Decimal("0.33")}],
        ),
        case(
            [
                {"receipt_number": "R1", "value_amount": Decimal("-5.00"), "weight_amount": Decimal("-1.99")},
                {"receipt_number": "R1", "value_amount": Decimal("-5.00"), "weight_amount": Decimal("-8.01")},
                {"receipt_number": "R2", "value_amount": None, "weight_amount": Decimal(1)},
            ],
            [{"value_amount": Decimal("-1.00")}, {"value_amount": Decimal("-4.00")}, {"value_amount": None}],
        ),
        case(
            [
                {"receipt_number": "R1", "value_amount": Decimal("0.03"), "weight_amount": Decimal(0)},
                {"receipt_number": "R1", "value_amount": Decimal("0.03"), "weight_amount": None},
            ],
            [{"value_amount": Decimal("0.02")}, {"value_amount": Decimal("0.01")}],
        ),
    ],
    fails=[
        case(
            {"receipt_number": None, "value_amount": Decimal(1), "weight_amount": Decimal(1)},
            "without a receipt number there is no receipt to spread over",
        )
    ],
)
def receipt_share(rows: pd.DataFrame) -> Ruled:
    """A receipt's amount spread over its lines by weight, in whole cents, by largest remainder; earlier lines first."""
    name, weight = rows.columns.drop("receipt_number")
    known = is_known(rows[name])
    named = rows["receipt_number"].notna()
    group, _ = pd.factorize(rows["receipt_number"].astype(object), use_na_sentinel=False)
    shares = of_cents(spread(cents(rows[name]), cents(rows[weight]), group), rows.index)
    values = pd.DataFrame({name: shares.where(pd.Series(known, rows.index), rows[name])})
    return Ruled(values, ((~named & known, "without a receipt number there is no receipt to spread over"),))


@rule(
    owner=_OWNER,
    reason="A tip is the staff's, not revenue, and it is the receipt's, not the line's.",
    last_review=_REVIEWED,
    passes=[
        case(
            [
                {"receipt_number": "R1", "tip_amount": Decimal(2), "net_amount": Decimal(6)},
                {"receipt_number": "R1", "tip_amount": None, "net_amount": Decimal(3)},
            ],
            [
                {"tip_amount": Decimal(2), "net_amount": Decimal(6)},
                {"tip_amount": Decimal(2), "net_amount": Decimal(3)},
            ],
            told="first_line",
        ),
    ],
    fails=[
        case(
            [
                {"receipt_number": "R1", "tip_amount": Decimal(2), "net_amount": Decimal(6)},
                {"receipt_number": "R1", "tip_amount": Decimal(1), "net_amount": Decimal(3)},
            ],
            "the lines of one receipt differ in it",
            told="repeated",
        )
    ],
)
def tip(rows: pd.DataFrame, told: Literal["repeated", "first_line"]) -> Ruled:
    """The receipt's tip on each of its lines, to be taken once; amounts sold do not hold it."""
    once = receipt_value(rows[["receipt_number", "tip_amount"]], told)
    return Ruled(rows.assign(tip_amount=once.values["tip_amount"]), once.refusals)


@rule(
    reads=(
        "gross_amount",
        "discount_amount",
        "net_amount",
        "tax_amount",
    ),
    owner=_OWNER,
    reason="Who sells a gift card owes goods: revenue is made when it is spent. Counting both would count it twice.",
    last_review=_REVIEWED,
    passes=[
        case(
            {
                "is_gift_card": True,
                "gross_amount": Decimal(25),
                "discount_amount": Decimal(0),
                "net_amount": Decimal(25),
            },
            {"gross_amount": Decimal(0), "net_amount": Decimal(0), "gift_card_amount": Decimal(25)},
        ),
        case(  # goods paid by gift card are revenue: how it was paid plays no part
            {
                "is_gift_card": False,
                "payment_method": "gift_card",
                "gross_amount": Decimal(3),
                "net_amount": Decimal(3),
            },
            {"net_amount": Decimal(3), "gift_card_amount": None},
        ),
    ],
    fails=[
        case({"is_gift_card": True, "gross_amount": None, "net_amount": None}, "a gift card is sold at an amount"),
    ],
)
def gift_card(rows: pd.DataFrame) -> Ruled:
    """A gift card sold is no revenue: its amounts are 0.00 and its value stands in gift_card_amount."""
    flagged = rows["is_gift_card"].astype(bool)
    values = rows[[name for name in (*SPREAD_COLUMNS,) if name in rows]].copy()
    value = rows["net_amount"].where(flagged, None)
    zero = of_cents(np.zeros(len(rows), np.int64), rows.index)
    for name in values.columns:
        values[name] = values[name].where(~flagged, zero)
    values["gift_card_amount"] = value
    return Ruled(values, ((flagged & value.isna(), "a gift card is sold at an amount"),))


def _text(values: np.ndarray[Any, Any], index: pd.Index[Any]) -> pd.Series[Any]:
    return pd.Series(values.astype(object), index=index).astype(TEXT)


# --- chunks ------------------------------------------------------------------------------------------------


def whole_receipts(tables: Iterable[pa.Table], names: list[str]) -> Iterator[pa.Table]:
    """
    The same rows in tables that end where a receipt does: rows of the last receipt wait for the next table.

    names: the received columns that name the receipt. Rows of a receipt stand together in every known export; one that
    does not keep them so can't be read in parts.
    """
    waiting: pa.Table | None = None
    for table in tables:
        there = [name for name in names if name in table.column_names]
        rows = pa.concat_tables([waiting, table]) if waiting is not None else table
        last = _last_receipt_start(rows, there)
        waiting = rows.slice(last)
        if last:
            yield rows.slice(0, last).combine_chunks()
    if waiting is not None and waiting.num_rows:
        yield waiting.combine_chunks()


def _last_receipt_start(rows: pa.Table, names: list[str]) -> int:
    """Where the rows that bear the last row's receipt number begin."""
    if not rows.num_rows:
        return 0
    same = np.ones(rows.num_rows, dtype=bool)
    for name in names:
        column = rows[name]
        equal = pc.fill_null(pc.equal(column, column[-1]), False)
        same &= np.asarray(equal.to_numpy())
    others = np.flatnonzero(~same)
    return int(others[-1]) + 1 if len(others) else 0
