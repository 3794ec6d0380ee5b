"""
An item export of any size, for trying large files: real receipts repeated under new ids and times.

Comes in: a path and the number of rows. Goes out: the file and what it adds up to.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import NamedTuple

from panpan.simulate.catalogue import DEFAULT_SEED
from panpan.simulate.pos import Totals, totals_of
from panpan.simulate.sales import Receipt
from panpan.simulate.square_csv import HEADER_33, receipt_rows, wall_clock
from panpan.simulate.world import World, days

LAST_DAY = date(2026, 9, 30)
_MODELS_FROM, _MODELS_TO = date(2026, 5, 4), date(2026, 5, 10)
_PER_DAY = 5000
"""Receipts a day: one each ten seconds of the opening hours, so no row falls into a changed hour."""
_AT, _TRANSACTION, _PAYMENT = "\x01", "\x02", "\x03"
_ID_END = "wT7yQnPZk3VbXs5LrMd2H"
_BUFFERED = 20_000


class _Model(NamedTuple):
    text: str
    totals: Totals


def big_export(path: Path, lines: int, seed: int = DEFAULT_SEED) -> Totals:
    """
    Write an export of exactly this many rows (header not counted), newest first, in bounded memory.

    Receipts have ids of their own, others for each seed. LAST_DAY is the newest day; each day holds 5,000 receipts.
    """
    sales = _sales(seed)
    models = [_model(receipt) for receipt in sales]
    counted = [0] * len(models)
    missing, number = lines, 0
    last: list[Totals] = []
    with path.open("w", encoding="utf-8", newline="", buffering=2**20) as file:
        file.write(HEADER_33 + "\n")
        buffered: list[str] = []
        while missing > 0:
            kind = number % len(models)
            model = models[kind]
            if model.totals.lines > missing:
                model = _model(sales[kind]._replace(lines=sales[kind].lines[:missing]))
                last.append(model.totals)
            else:
                counted[kind] += 1
            buffered.append(_filled(model.text, number, seed))
            missing -= model.totals.lines
            number += 1
            if len(buffered) == _BUFFERED:
                file.write("".join(buffered))
                buffered.clear()
        file.write("".join(buffered))
    return _multiplied(models, counted, last)


def _filled(text: str, number: int, seed: int) -> str:
    day, place = divmod(number, _PER_DAY)
    at = datetime.combine(LAST_DAY, time(20, 59, 59)) - timedelta(days=day, seconds=place * 10)
    return (
        text.replace(_AT, at.isoformat(sep=","))
        .replace(_TRANSACTION, f"T{seed % 1000:03d}{number:07d}{_ID_END}")
        .replace(_PAYMENT, f"P{seed % 1000:03d}{number:07d}{_ID_END}")
    )


def _sales(seed: int) -> list[Receipt]:
    world = World(seed, _MODELS_TO)
    return [r for day in days(_MODELS_FROM, _MODELS_TO) for r in world.receipts(day) if not r.is_refund]


def _model(receipt: Receipt) -> _Model:
    marked = receipt._replace(transaction_id=_TRANSACTION, payment_id=_PAYMENT)
    text = receipt_rows(marked, with_employee=False)
    return _Model(text.replace(wall_clock(receipt.sold_at), _AT), totals_of([receipt]))


def _multiplied(models: list[_Model], counted: list[int], last: list[Totals]) -> Totals:
    times = [*zip((model.totals for model in models), counted, strict=True), *((each, 1) for each in last)]
    return Totals(*(sum(each[place] * count for each, count in times) for place in range(len(Totals()))))
