"""
Square's item export as text: the two headers in use, cells, money, and one receipt as rows.

Comes in: receipts. Goes out: lines that end in LF; blanks are written as two quotes, other cells are quoted
only when they need it. Amounts carry the euro sign after the minus.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import lru_cache

from panpan.simulate.catalogue import LAYOUT_CHANGE
from panpan.simulate.chance import local
from panpan.simulate.sales import Line, Receipt

TIME_ZONE = "Madrid"
HEADER_35 = (
    "Date,Time,Time Zone,Category,Item,Qty,Price Point Name,SKU,Modifiers Applied,Gross Sales,Discounts,"
    "Net Sales,Tax,Transaction ID,Payment ID,Device Name,Notes,Details,Event Type,Location,Dining Option,"
    "Customer ID,Customer Name,Customer Reference ID,Unit,Count,GTIN,Itemization Type,Commission,Employee,"
    "Fulfillment Note,Channel,Token,Card Brand,PAN Suffix"
)
HEADER_33 = HEADER_35.replace("Commission,Employee,", "")
_DETAILS = "https://app.squareup.com/dashboard/sales/transactions/{}/by-unit/{}"


def has_employee(day: date) -> bool:
    """Whether an export downloaded for this day still has the columns Commission and Employee."""
    return day < LAYOUT_CHANGE


def header(day: date) -> str:
    """The header line of an export downloaded for this day, without its line end."""
    return HEADER_35 if has_employee(day) else HEADER_33


@lru_cache(maxsize=20_000)
def cell(text: str) -> str:
    """One cell as the export writes it."""
    if not text:
        return '""'
    if any(mark in text for mark in ',"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text


def row(cells: Iterable[str]) -> str:
    """One line of the export, without its line end."""
    return ",".join(map(cell, cells))


@lru_cache(maxsize=20_000)
def money(cents: int) -> str:
    """Cents as a cell: `€7.00`, `-€7.00`, `"€1,150.00"`."""
    sign = "-" if cents < 0 else ""
    return cell(f"{sign}€{abs(cents) // 100:,}.{abs(cents) % 100:02d}")


def wall_clock(moment: int) -> str:
    """A moment as the cells Date and Time."""
    return local(moment).replace(tzinfo=None).isoformat(sep=",")


def receipt_rows(receipt: Receipt, with_employee: bool) -> str:
    """All rows of one receipt, in the order of the basket, each with its line end."""
    store, customer = receipt.store, receipt.customer
    before = f"{wall_clock(receipt.sold_at)},{TIME_ZONE},"
    details = _DETAILS.format(receipt.transaction_id, store.unit_id)
    event = "Refund" if receipt.is_refund else "Payment"
    who = f"{cell(receipt.employee)}," if with_employee else ""
    ids = f"{receipt.transaction_id},{receipt.payment_id},{cell(receipt.device)},"
    buyer = (
        f"{details},{event},{cell(store.name)},{cell(receipt.dining)},"
        f"{cell((customer and customer.pos_customer_id) or '')},{cell(receipt.customer_name)},"
        f"{cell((customer and customer.pos_reference) or '')},ea,"
    )
    commission = f'"",{who}' if with_employee else ""
    last = f"{cell(receipt.card)},{cell(receipt.card_suffix)}\n"
    return "".join(
        f"{before}{_item(line)},{money(line.gross)},{money(line.discount)},{money(line.net)},{money(line.tax)},"
        f'{ids}{cell(line.note)},{buyer}{line.quantity},"",{_itemization(line)},{commission}"",'
        f"{cell(store.name)},{cell(line.token)},{last}"
        for line in receipt.lines
    )


def _item(line: Line) -> str:
    product = line.product
    category, variation, sku = (product.category, product.variation, product.sku) if product else ("None", "", "")
    return f"{category},{cell(line.name)},{line.quantity}.0,{cell(variation)},{cell(sku)},{cell(line.modifiers)}"


def _itemization(line: Line) -> str:
    return line.product.itemization if line.product else '""'
