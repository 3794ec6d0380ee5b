"""
The whole simulated business from START to a last day, made day by day when first asked for.

Comes in: a seed and the last day. Goes out: receipts, delivery orders, contacts, stock, and the truth
about which POS customer is which CRM contact. Nothing made for one last day differs under another.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import cached_property

from panpan.simulate.catalogue import DEFAULT_SEED, PRODUCTS, START, STORES, ZONE, Product
from panpan.simulate.chance import midnight_after
from panpan.simulate.contacts import Contact, contacts_as_of
from panpan.simulate.orders import DeliveryOrder, orders_of_day
from panpan.simulate.people import Crowd, Person, people_known, person
from panpan.simulate.sales import LONGEST_DELAY, Receipt, Till, product_token
from panpan.simulate.stock import Stock, run_stock


def days(since: date, until: date) -> Iterator[date]:
    """Every day from the first to the last, both included."""
    for number in range((until - since).days + 1):
        yield since + timedelta(days=number)


def yesterday() -> date:
    """The last whole day in Madrid."""
    return datetime.now(ZONE).date() - timedelta(days=1)


class World:
    """PanPan from START to the end of `until`, as its source systems would know it at that midnight."""

    def __init__(self, seed: int = DEFAULT_SEED, until: date | None = None) -> None:
        self.seed = seed
        self.until = max(START, until or yesterday())
        self._people: list[Person] = []
        self._crowds: dict[date, Crowd] = {}
        self._receipts: dict[date, list[Receipt]] = {}
        self._orders: dict[date, list[DeliveryOrder]] = {}
        self._tokens: dict[date, dict[str, str]] = {}

    def later(self, until: date) -> World:
        """The same world up to a later day; days already made are not made again."""
        other = World(self.seed, until)
        other._people, other._receipts, other._orders = self._people, self._receipts, self._orders
        return other

    @property
    def now(self) -> int:
        """The end of the last day, in seconds since 1970: nothing later is known to any system."""
        return midnight_after(self.until)

    def people(self, day: date) -> list[Person]:
        """Everyone PanPan has met by the end of a day, by number."""
        known = people_known(day)
        self._people.extend(person(self.seed, n) for n in range(len(self._people), known))
        return self._people[:known]

    def receipts(self, day: date) -> list[Receipt]:
        """All stores' sales of a business day and the refunds they lead to, some of them dated later."""
        if day < START:
            return []
        if day not in self._receipts:
            crowd, tokens = self._crowd(day), self._tokens_on(day)
            self._receipts[day] = [
                receipt for store in STORES for receipt in Till(self.seed, store, day, crowd, tokens).receipts()
            ]
        return self._receipts[day]

    def receipts_dated(self, day: date) -> list[Receipt]:
        """Sales and refunds whose wall-clock date is this day, oldest first."""
        from_days = days(day - LONGEST_DELAY, day)
        found = [r for business_day in from_days for r in self.receipts(business_day) if r.dated == day]
        return sorted(found, key=lambda receipt: (receipt.sold_at, receipt.transaction_id))

    def orders(self, day: date) -> list[DeliveryOrder]:
        """Delivery orders taken on a day and the refunds they lead to."""
        if day not in self._orders:
            self._orders[day] = orders_of_day(self.seed, day, self._crowd(day), self._tokens_on(day))
        return self._orders[day]

    @cached_property
    def known_orders(self) -> list[DeliveryOrder]:
        """All delivery orders as known at the end of the last day, least lately updated first."""
        seen = (order.as_of(self.now * 1000) for day in days(START, self.until) for order in self.orders(day))
        return sorted((order for order in seen if order), key=lambda order: (order.updated_at, order.order_id))

    @cached_property
    def contacts(self) -> list[Contact]:
        """All CRM contacts, archived ones too, least lately updated first."""
        return contacts_as_of(self.seed, self.people(self.until), self.now)

    @cached_property
    def stock(self) -> Stock:
        """Stock movements, supplier deliveries and levels up to the end of the last day."""
        return run_stock(self.seed, self.until, self._used_by_day())

    def make(self) -> None:
        """Make everything the servers ask for now, so that no request pays for it later."""
        _ = (self.known_orders, self.contacts, self.stock)

    def truth(self) -> set[tuple[str, str]]:
        """(POS customer id, CRM contact id) of every person whom both systems know; a person may have two."""
        pos_ids = {p.number: p.pos_customer_id for p in self.people(self.until)}
        pairs = ((pos_ids[c.person_number], c.contact_id) for c in self.contacts if not c.archived)
        return {(pos_id, contact_id) for pos_id, contact_id in pairs if pos_id}

    def _crowd(self, day: date) -> Crowd:
        if day not in self._crowds:
            # Only receipts and orders of the day need it, so one is kept, not four hundred.
            self._crowds = {day: Crowd(self.people(day), day)}
        return self._crowds[day]

    def _tokens_on(self, day: date) -> dict[str, str]:
        if day not in self._tokens:
            self._tokens = {day: {p.sku: product_token(self.seed, p, day) for p in PRODUCTS}}
        return self._tokens[day]

    def _used_by_day(self) -> Iterator[tuple[date, dict[tuple[str, str], int]]]:
        """For each day: pieces sold by (SKU, stock location)."""
        for day in days(START, self.until):
            used: dict[tuple[str, str], int] = {}
            for receipt in self.receipts(day):
                if not receipt.is_refund:
                    for line in receipt.lines:
                        _count(used, line.product, receipt.store.stock_location, line.quantity)
            for order in self.orders(day):
                for piece in order.taken_from_stock():
                    _count(used, piece.product, piece.stock_location, piece.quantity)
            yield day, used


def _count(used: dict[tuple[str, str], int], product: Product | None, location: str, quantity: int) -> None:
    if product:
        used[product.sku, location] = used.get((product.sku, location), 0) + quantity
