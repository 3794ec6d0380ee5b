"""
The POS's item exports as somebody downloads them each morning, and the truth to hold a loader against.

Comes in: a world and the days. Goes out: files `items-<from>-<to>.csv` (the end is not included) with all
stores, newest row first; totals by business day and store.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from panpan.simulate.catalogue import START
from panpan.simulate.chance import local
from panpan.simulate.faults import FILE_FAULTS, Faults
from panpan.simulate.orders import DeliveryOrder
from panpan.simulate.sales import Receipt
from panpan.simulate.spoil import SECOND_COPY, second_copy, spoiled
from panpan.simulate.square_csv import has_employee, header, receipt_rows
from panpan.simulate.world import World, days

_MONDAY = 0
_LATEST_UPLOAD = timedelta(days=3)


class Totals(NamedTuple):
    """What a set of receipts adds up to; a refund counts as a receipt, amounts in cents with its sign."""

    receipts: int = 0
    refunds: int = 0
    lines: int = 0
    gross: int = 0
    discounts: int = 0
    net: int = 0
    tax: int = 0


def write_exports(
    folder: Path, since: date, until: date, world: World | None = None, faults: Faults | None = None
) -> list[Path]:
    """
    Write the export of every day from since to until, both included, and give the paths written.

    A file that lies there with the same bytes is left alone and not listed. Each file appears under its name
    only when it is whole. A file fault that is on spoils the files as they are written, one fault a file.
    """
    world = world or World(until=until)
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for day in days(max(since, START), until):
        path, content = folder / export_name(world, day), export_text(world, day).encode()
        if not path.exists() or path.read_bytes() != content:
            written += _write_spoiled(path, content, _struck(faults))
    return written


def export_window(world: World, day: date) -> tuple[date, date]:
    """
    First and last day of the export downloaded for a day.

    Mondays go back over Sunday; three days after a store was offline the whole stretch is downloaded again,
    which is how sales that came in late reach a file at all.
    """
    first = day - timedelta(days=1) if day.weekday() == _MONDAY else day
    went_offline = day - _LATEST_UPLOAD
    if any(receipt.uploaded > receipt.dated for receipt in world.receipts_dated(went_offline)):
        first = went_offline
    return max(first, START), day


def export_name(world: World, day: date) -> str:
    """Name of the export downloaded for a day."""
    first, last = export_window(world, day)
    return f"items-{first}-{last + timedelta(days=1)}.csv"


def export_receipts(world: World, day: date) -> list[Receipt]:
    """The receipts in the export downloaded for a day, newest first."""
    window = days(*export_window(world, day))
    known = [r for dated in window for r in world.receipts_dated(dated) if r.uploaded <= day]
    return known[::-1]


def export_text(world: World, day: date) -> str:
    """The whole export downloaded for a day."""
    with_employee = has_employee(day)
    rows = (receipt_rows(receipt, with_employee) for receipt in export_receipts(world, day))
    return f"{header(day)}\n{''.join(rows)}"


def exported_totals(world: World, since: date, until: date) -> dict[tuple[date, str], Totals]:
    """By (business date, store code): what the exports of these days hold, each receipt counted once."""
    receipts = {r.transaction_id: r for day in days(since, until) for r in export_receipts(world, day)}
    ordered = sorted(receipts.values(), key=_business_day)
    return {place: totals_of(members) for place, members in groupby(ordered, key=_business_day)}


def delivery_totals(world: World) -> dict[date, Totals]:
    """By local day of `created_at`: completed delivery orders less refunds, without fees and tips."""
    by_day: dict[date, list[Totals]] = {}
    for order in world.known_orders:
        if order.state == "COMPLETED":
            by_day.setdefault(local(order.created_at // 1000).date(), []).append(_order_totals(order))
    return {day: added_up(each) for day, each in sorted(by_day.items())}


def _order_totals(order: DeliveryOrder) -> Totals:
    is_refund = order.refund_of is not None
    sign = -1 if is_refund else 1
    gross = sum(line.gross for line in order.lines)
    discount = sum(line.discount for line in order.lines)
    return Totals(
        receipts=1,
        refunds=int(is_refund),
        lines=len(order.lines),
        gross=sign * gross,
        discounts=-sign * discount,
        net=sign * (gross - discount),
        tax=sign * sum(line.tax for line in order.lines),
    )


def totals_of(receipts: Iterable[Receipt]) -> Totals:
    """What these receipts add up to."""
    each = [(receipt, line) for receipt in receipts for line in receipt.lines]
    return Totals(
        receipts=len({receipt.transaction_id for receipt, _ in each}),
        refunds=len({receipt.transaction_id for receipt, _ in each if receipt.is_refund}),
        lines=len(each),
        gross=sum(line.gross for _, line in each),
        discounts=sum(line.discount for _, line in each),
        net=sum(line.net for _, line in each),
        tax=sum(line.tax for _, line in each),
    )


def added_up(totals: Iterable[Totals]) -> Totals:
    """The sum of several totals."""
    return Totals(*map(sum, zip(Totals(), *totals, strict=True)))


def _business_day(receipt: Receipt) -> tuple[date, str]:
    return receipt.business_date, receipt.store.code


def _struck(faults: Faults | None) -> str | None:
    """The file fault that strikes the next file, if any."""
    return next((name for name in FILE_FAULTS if faults.strikes(name)), None) if faults else None


def _write_spoiled(path: Path, content: bytes, fault: str | None) -> list[Path]:
    if fault == SECOND_COPY:
        _write_whole(second_copy(path), content)
        _write_whole(path, content)
        return [path, second_copy(path)]
    _write_whole(path, spoiled(content, fault) if fault else content)
    return [path]


def _write_whole(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    part.replace(path)
