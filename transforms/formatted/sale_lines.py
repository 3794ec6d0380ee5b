"""
Sale lines: typed values into lines whose every amount says one thing, whatever form the source gave it.

Comes in: a chunk's typed columns. Goes out: rows of transforms/formatted/records.ROWS; the rules say how.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd

from transforms.contract import SPREAD_COLUMNS, Entity, When
from transforms.formatted import amounts, moments
from transforms.formatted.values import clean_text
from transforms.formatted.work import Work, or_else, store_ids, tell_people, to_utc
from transforms.rules import money, products, receipts

NUMBERS = ("quantity", "unit_price", *SPREAD_COLUMNS, "tip_amount")


def finish_sale_lines(work: Work) -> pd.DataFrame:
    """Lines in time and place, each with its amounts; voided ones with what reverses them."""
    rows = work.typed.copy()
    _complete_columns(rows, work)
    _take_receipt_texts(rows, work)
    _place(rows, work)
    _tell_refunds(rows, work)
    _complete_amounts(rows, work)
    _tell_negative_lines(rows, work)
    return _tell_voids(rows, work)


def _complete_columns(rows: pd.DataFrame, work: Work) -> None:
    """Every number of a line is there or unknown, and every word as its rule wants it."""
    for name in NUMBERS:
        if name not in rows:
            rows[name] = amounts.unknown(rows.index)
        elif name.endswith("_amount"):
            fine = amounts.finer_than_cents(rows[name])
            work.faults.add(fine, f"{name} has more than two decimals", name, rows[name])
    if "quantity" in work.typed:
        zero = amounts.is_zero(rows["quantity"])
        work.faults.add(zero, "the quantity is 0", "quantity", rows["quantity"])
    rows["product_name"] = products.product_name(rows["product_name"]).values
    tell_people(rows, work.contract)


def _take_receipt_texts(rows: pd.DataFrame, work: Work) -> None:
    """Texts that stand on one line of a receipt, or on all, are those of all its lines."""
    for name, told in work.entity.per_receipt.items():
        if not name.endswith("_amount"):
            work.apply(receipts.receipt_value(rows[["receipt_number", name]], told), rows, name)


def _place(rows: pd.DataFrame, work: Work) -> None:
    """sold_at in UTC and the business date, from one moment or from a day and a clock time; store and currency."""
    contract = work.contract
    zone = moments.zone_of_rows(rows.get("time_zone"), contract, work.faults)
    if "sold_at" in rows:
        aware = rows["sold_at"].dt.tz is not None
        local = moments.utc_to_local(rows["sold_at"], zone) if aware else rows["sold_at"]
    elif "sold_time" in rows:
        local = rows["sold_on"] + rows["sold_time"]
    else:
        local = rows["sold_on"] + moments.closing_delta(contract)  # the day is all that is known
    rows["business_date"] = moments.business_date(local, contract)
    if "sold_at" not in rows or rows["sold_at"].dt.tz is None:
        rows["sold_at"] = moments.local_to_utc(local, zone)
    to_utc(rows, "updated_at", contract)
    rows["store_id"] = store_ids(rows.get("store"), contract, rows.index)
    rows["channel"] = or_else(rows.get("channel"), contract.channel, rows.index)
    if "currency_code" in rows:
        received = rows["currency_code"]
        coded = money.currency(received, contract.currency_code)
        work.refuse(coded, "currency_code", received)
        rows["currency_code"] = coded.values
    else:
        rows["currency_code"] = or_else(None, contract.currency_code, rows.index)


def _tell_refunds(rows: pd.DataFrame, work: Work) -> None:
    """Refunds the source names; one inside its sale's receipt gets a receipt of its own."""
    told = work.entity.refunds
    ruled = receipts.refund_event(rows, "returns" if work.entity.returns else "none" if told == NEGATIVE else told)
    work.apply(ruled, rows, "event" if "event" in work.typed else None)
    if told == "same_receipt":
        work.apply(receipts.refund_receipt(rows), rows)


NEGATIVE = "negative_quantity"


def _tell_negative_lines(rows: pd.DataFrame, work: Work) -> None:
    """Refunds told by their numbers alone; the numbers of every refund are negative from here on."""
    entity = work.entity
    if entity.refunds == NEGATIVE:
        work.apply(receipts.refund_event(rows, NEGATIVE), rows)
    ruled = receipts.refund_sign(rows, "positive" if entity.returns else entity.refund_amounts)
    work.apply(ruled, rows)


def _complete_amounts(rows: pd.DataFrame, work: Work) -> None:
    """Net, gross, discount, tax and price of one from what was received; amount_origin says where net came from."""
    entity = work.entity
    spread = [name for name in SPREAD_COLUMNS if name in entity.per_receipt]
    work.apply(money.discount_sign(rows[["discount_amount"]] if spread else rows, entity.discount_sign), rows)
    _take_receipt_amounts(rows, work, spread)
    amount = money.line_amount(rows, entity.rebuild_amounts)
    rows[["net_amount", "amount_origin"]] = amount.values
    [(unknown, _)] = amount.refusals
    if entity.unknown_amounts == "reject":
        why = "no amount: it can't be read, nor rebuilt from quantity and price"
        work.faults.add(unknown, why, "net_amount", None)
    discount = rows["discount_amount"]
    rows["discount_amount"] = discount.where(unknown, discount.fillna(Decimal(0)))
    rows["gross_amount"] = rows["gross_amount"].fillna(amounts.added(rows["net_amount"], rows["discount_amount"]))
    work.profile.update(_amount_profile(rows))
    if entity.gift_card_when is not None:
        rows["is_gift_card"] = flagged(work.frame, entity.gift_card_when, entity)
        work.apply(receipts.gift_card(rows), rows)
    if entity.tax_included or entity.tax_rate is not None:
        work.apply(money.tax(rows, entity.tax_included, entity.tax_rate), rows)
    rows["unit_price"] = money.unit_price(rows).values["unit_price"]


def _take_receipt_amounts(rows: pd.DataFrame, work: Work, spread: list[str]) -> None:
    """Amounts of the receipt: taken once, and those of goods spread over its lines."""
    told = work.entity.per_receipt
    if "tip_amount" in told:
        work.apply(receipts.tip(rows[["receipt_number", "tip_amount"]], told["tip_amount"]), rows, "tip_amount")
    for name in spread:
        work.apply(receipts.receipt_value(rows[["receipt_number", name]], told[name]), rows, name)
        weighted = rows[["receipt_number", name]].assign(weight=_weight(rows, name))
        work.apply(receipts.receipt_share(weighted), rows, name)


def _weight(rows: pd.DataFrame, name: str) -> pd.Series[Any]:
    """By what an amount is spread: prices for gross and discount, what is left after discount for net and tax."""
    priced = amounts.multiplied(rows["quantity"], rows["unit_price"])
    if name == "gross_amount":
        return priced
    gross = rows["gross_amount"].fillna(priced)
    if name == "discount_amount":
        return gross
    left = amounts.added(gross, amounts.negated(rows["discount_amount"].fillna(Decimal(0))))
    return left if name == "net_amount" else rows["net_amount"].fillna(left)


def _amount_profile(rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
    profile = {}
    for origin in ("received", "rebuilt", "unknown"):
        of_origin = rows["amount_origin"] == origin
        profile[f"amount_{origin}"] = {
            "rows": int(of_origin.sum()),
            "net_amount": amounts.total(rows["net_amount"][of_origin]),
        }
    return profile


def _tell_voids(rows: pd.DataFrame, work: Work) -> pd.DataFrame:
    """Cancelled receipts and lines, by the column event or by their flag, with what reverses them."""
    flag = work.entity.void_when
    if flag is not None:
        rows["is_void"] = flagged(work.frame, flag, work.entity)
        work.apply(receipts.void_event(rows, flag.of), rows)
        if flag.of == "line":
            rows = receipts.void_line(rows).values
    voided: pd.DataFrame = receipts.void_receipt(rows).values
    return voided


def flagged(frame: pd.DataFrame, flag: When, entity: Entity) -> pd.Series[bool]:
    """Which received rows bear a flag: one of its texts, whatever their letter case, or any where it names none."""
    if flag.column not in frame:
        return pd.Series(False, index=frame.index)
    texts = clean_text(frame[flag.column], entity.missing)
    found = texts.str.lower().isin([text.lower() for text in flag.texts]) if flag.texts else texts.notna()
    return found.fillna(False).astype(bool)
