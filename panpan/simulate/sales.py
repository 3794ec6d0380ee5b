"""
One store's receipts of one business day, and the refunds they lead to.

Comes in: the seed, the store, the day, who may come in. Goes out: receipts with their lines; a refund is a
receipt of its own, perhaps days later, that shares the Payment ID of its sale.
"""

from __future__ import annotations

from datetime import date, timedelta
from itertools import accumulate
from random import Random
from typing import NamedTuple

from panpan.simulate.catalogue import (
    LOWER_CASE_UNTIL,
    NIGHT_STORE,
    PRODUCTS,
    RECREATED_ON,
    RECREATED_SKU,
    TAX_PCT,
    Product,
    Store,
    is_closed,
)
from panpan.simulate.chance import chance, clock_changes_after, demand, local, long_id, noon, upper_id
from panpan.simulate.people import Crowd, Person

RECEIPTS_PER_DAY = 42
CUSTOM_AMOUNT = "Custom Amount"
LONGEST_DELAY = timedelta(days=8)
"""No row is dated, and none is uploaded, later than this after the business day it comes from."""

_HOUR_WEIGHTS = tuple(accumulate((7, 12, 12, 10, 9, 8, 7, 5, 4, 6, 8, 7, 4, 2)))
_OPENS, _HOURS = 7, range(14)
_LINE_COUNTS = tuple(accumulate((49, 27, 14, 7, 3)))
_POPULARITY = tuple(accumulate(product.popularity for product in PRODUCTS))
_CARDS = ("Visa", "MasterCard", "Visa", "American Express", "", "")
_REASONS = ("Canceled Order", "Wrong item", "Returned goods, too dark", "Accidental Charge", "Cold coffee")
_REMARKS = (
    'Happy birthday "Ana", no nuts',
    "sliced, please",
    "call on arrival",
    "sin azúcar",
    "for Señora Peña",
)
_DINING = ("For Here", "To Go", "To Go", "")
_MODIFIERS_AT_MOST = 3


class Line(NamedTuple):
    """One item of a basket; amounts in cents, discount negative, all turned round in a refund."""

    product: Product | None
    name: str
    token: str
    quantity: int
    gross: int
    discount: int
    tax: int
    modifiers: str
    note: str

    @property
    def net(self) -> int:
        """Amount without tax after discount."""
        return self.gross + self.discount


class Receipt(NamedTuple):
    """One sale or refund at a till; `sold_at` in seconds since 1970, `dated` its day on the wall clock."""

    store: Store
    business_date: date
    sold_at: int
    dated: date
    uploaded: date
    transaction_id: str
    payment_id: str
    is_refund: bool
    customer: Person | None
    customer_name: str
    lines: tuple[Line, ...]
    device: str
    employee: str
    dining: str
    card: str
    card_suffix: str


def product_token(seed: int, product: Product, day: date) -> str:
    """The catalogue id a product had on a day."""
    again = product.sku == RECREATED_SKU and day >= RECREATED_ON
    return upper_id(chance(seed, "token", product.sku, again), 24)


def tax_of(net: int) -> int:
    """The tax on top of a net amount, in cents, halves away from zero."""
    return (abs(net) * TAX_PCT + 50) // 100 * (1 if net >= 0 else -1)


class Till:
    """Makes one store's receipts of one business day."""

    def __init__(self, seed: int, store: Store, day: date, crowd: Crowd, tokens: dict[str, str]) -> None:
        self._source = chance(seed, "sales", store.code, day)
        self._store, self._day, self._crowd, self._tokens = store, day, crowd, tokens
        self._noon = noon(day)
        self._day_end = self._noon + (12 + store.day_ends_hour) * 3600
        self._offline = _offline_hours(seed, store, day)

    def receipts(self) -> list[Receipt]:
        """Sales as they happened, each followed by its refund if there is one; empty when closed."""
        if is_closed(self._day):
            return []
        made = []
        for sold_at in self._moments():
            sale = self._sale(sold_at)
            made.append(sale)
            if self._source.random() < 0.012:
                made.append(self._refund(sale))
        return made

    def _moments(self) -> list[int]:
        source = self._source
        busy = RECEIPTS_PER_DAY * self._store.size * demand(self._day, self._store.month_factors)
        count = max(3, round(busy * source.gauss(1, 0.08)))
        hours = source.choices(_HOURS, cum_weights=_HOUR_WEIGHTS, k=count)
        opened = self._noon + (_OPENS - 12) * 3600
        moments = [opened + hour * 3600 + int(source.random() * 3600) for hour in hours]
        return sorted(moments + self._night_moments())

    def _night_moments(self) -> list[int]:
        """Saturday nights at the sea: open until 02:00, and through the changed hour when clocks change."""
        if self._store.code != NIGHT_STORE or self._day.weekday() != 5:
            return []
        source, evening = self._source, self._noon + 9 * 3600
        nights = [evening + int(source.random() * 5 * 3600) for _ in range(source.randint(5, 9))]
        if clock_changes_after(self._day):
            # In autumn the wall clock says 02:20 both 14 h 20 and 15 h 20 after noon; in spring it says 03:20
            # and 04:20, and by then nobody is there.
            nights.append(self._noon + 14 * 3600 + 1200)
            if local(self._noon + 15 * 3600).hour == 2:
                nights.append(self._noon + 15 * 3600 + 1200)
        return nights

    def _sale(self, sold_at: int) -> Receipt:
        source, store = self._source, self._store
        customer = self._crowd.visitor(source, store.code) if source.random() < 0.47 else None
        name = customer.pos_name if customer and source.random() < 0.9 else ""
        card = _CARDS[int(source.random() * len(_CARDS))]
        is_offline = self._offline is not None and self._offline <= sold_at < self._offline + 4 * 3600
        dated = local(sold_at).date()
        return Receipt(
            store=store,
            business_date=self._day,
            sold_at=sold_at,
            dated=dated,
            uploaded=dated + timedelta(days=source.randint(1, 3)) if is_offline else dated,
            transaction_id=long_id(source),
            payment_id=long_id(source),
            is_refund=False,
            customer=customer,
            customer_name=name,
            lines=self._basket(),
            device=store.devices[int(source.random() * len(store.devices))],
            employee=store.employees[int(source.random() * len(store.employees))],
            dining=_DINING[int(source.random() * len(_DINING))],
            card=card,
            card_suffix=f"{int(source.random() * 10000):04d}" if card else "",
        )

    def _basket(self) -> tuple[Line, ...]:
        source = self._source
        if source.random() < 0.012:
            return (self._open_item(),)
        count = source.choices((1, 2, 3, 4, 5), cum_weights=_LINE_COUNTS)[0]
        products = source.choices(PRODUCTS, cum_weights=_POPULARITY, k=count)
        discount_pct = 10 if source.random() < 0.05 else 0
        lines = [self._line(product, discount_pct) for product in products]
        if source.random() < 0.03:
            # Two equal rows of one transaction are two sold items; a loader that drops one loses a sale.
            lines.append(lines[0])
        return tuple(lines)

    def _line(self, product: Product, discount_pct: int) -> Line:
        source = self._source
        quantity = 1 if source.random() < 0.82 else source.randint(2, 4)
        gross = quantity * product.price_on(self._day)
        if not discount_pct and product.batch and source.random() < 0.01:
            discount_pct = 50
        discount = -((gross * discount_pct + 50) // 100)
        modifiers = ""
        if product.modifiers and source.random() < 0.6:
            wanted = source.sample(product.modifiers, source.randint(1, _MODIFIERS_AT_MOST))
            modifiers = ", ".join(wanted)
        return Line(
            product=product,
            name=self._name(product),
            token=self._tokens[product.sku],
            quantity=quantity,
            gross=gross,
            discount=discount,
            tax=tax_of(gross + discount),
            modifiers=modifiers,
            note=source.choice(_REMARKS) if source.random() < 0.01 else "",
        )

    def _name(self, product: Product) -> str:
        if product.sku == RECREATED_SKU and self._day < LOWER_CASE_UNTIL:
            return product.name.lower()
        if product.sku == "CAK-01" and self._source.random() < 0.3:
            return product.name + " "
        return product.name

    def _open_item(self) -> Line:
        source = self._source
        # A catering order typed as one amount: the only way a thousands comma gets into the export.
        is_catering = source.random() < 0.04
        amount = source.randint(1000, 2400) * 100 if is_catering else source.randint(2, 60) * 50
        note = "catering, 40 people" if is_catering else ""
        return Line(None, CUSTOM_AMOUNT, "", 1, amount, 0, tax_of(amount), "", note)

    def _refund(self, sale: Receipt) -> Receipt:
        source = self._source
        refunded_at = self._refund_moment(sale)
        dated = local(refunded_at).date()
        reason = source.choice(_REASONS)
        return sale._replace(
            business_date=self._day if refunded_at < self._day_end else dated,
            sold_at=refunded_at,
            dated=dated,
            uploaded=max(dated, sale.uploaded),
            transaction_id=long_id(source),
            is_refund=True,
            customer=None,
            customer_name="",
            lines=_given_back(source, sale.lines, reason),
            dining="",
        )

    def _refund_moment(self, sale: Receipt) -> int:
        """Minutes after the sale, or in the opening hours of one of the next days."""
        source = self._source
        days = source.choice((0, 0, 0, 0, 1, 2, 3, 5))
        if not days:
            return sale.sold_at + source.randint(120, 1500)
        day = self._day + timedelta(days=days)
        if is_closed(day):
            day += timedelta(days=1)
        return noon(day) + source.randint(-4 * 3600, 8 * 3600)


def _given_back(source: Random, lines: tuple[Line, ...], reason: str) -> tuple[Line, ...]:
    if len(lines) > 1 and source.random() < 0.5:
        lines = (source.choice(lines),)
    first = lines[0]
    if len(lines) == 1 and first.quantity > 1 and not first.discount and source.random() < 0.6:
        unit = first.gross // first.quantity
        lines = (first._replace(quantity=1, gross=unit, tax=tax_of(unit)),)
    return tuple(
        line._replace(quantity=-line.quantity, gross=-line.gross, discount=-line.discount, tax=-line.tax, note=reason)
        for line in lines
    )


def _offline_hours(seed: int, store: Store, day: date) -> int | None:
    """When the store's internet went down that day, in seconds since 1970; its sales come in days later."""
    source = chance(seed, "offline", store.code, day)
    return noon(day) + source.randint(-3, 3) * 3600 if source.random() < 0.02 else None
