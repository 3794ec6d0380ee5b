"""
Delivery orders of one day, and their form in the POS API.

Comes in: the seed, the day, who may order. Goes out: orders with every version they go through, and the
JSON of the version known at a moment. A refund is an order of its own with `returns`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Any, NamedTuple

from panpan.simulate.catalogue import (
    CURRENCY,
    DELIVERED,
    DELIVERY_LOCATION_ID,
    DELIVERY_MONTHS,
    DELIVERY_STOCK,
    Product,
    is_closed,
)
from panpan.simulate.chance import chance, demand, long_id, noon, upper_id
from panpan.simulate.people import Crowd, Person
from panpan.simulate.sales import tax_of

ORDERS_PER_DAY = 34
FEES = (290, 350, 0)
"""Delivery fee in cents, by distance; free above 25 euro."""
_FREE_ABOVE = 2500
_MENU = tuple(accumulate(product.popularity for product in DELIVERED))
_TENDERS = ("CARD", "CARD", "CARD", "WALLET", "CASH")
_GIVES_EMAIL = 3
"""Of five customers, how many typed an e-mail address into the delivery app."""
_HOUR, _DAY = 3_600_000, 86_400_000


class OrderLine(NamedTuple):
    """One item of a delivery order; amounts in cents, discount positive as the API has it."""

    uid: str
    product: Product
    token: str
    quantity: int
    unit: int
    discount: int

    @property
    def stock_location(self) -> str:
        """Where the pieces are taken from."""
        return DELIVERY_STOCK

    @property
    def gross(self) -> int:
        """Amount before discount and tax."""
        return self.unit * self.quantity

    @property
    def tax(self) -> int:
        """Tax on top of the discounted amount."""
        return tax_of(self.gross - self.discount)

    @property
    def total(self) -> int:
        """What the customer pays for the line."""
        return self.gross - self.discount + self.tax


class Version(NamedTuple):
    """What changed about an order, and when; moments in milliseconds since 1970."""

    updated_at: int
    state: str
    tip: int


class DeliveryOrder(NamedTuple):
    """One order or refund; the API first knows it at its first version's `updated_at`."""

    order_id: str
    created_at: int
    customer: Person | None
    lines: tuple[OrderLine, ...]
    fee: int
    tender_id: str
    tender_type: str
    versions: tuple[Version, ...]
    refund_of: str | None = None
    reason: str = ""

    @property
    def updated_at(self) -> int:
        """Moment of the last version, milliseconds since 1970."""
        return self.versions[-1].updated_at

    @property
    def state(self) -> str:
        """State of the last version."""
        return self.versions[-1].state

    def as_of(self, moment: int) -> DeliveryOrder | None:
        """The order with the versions known at a moment, None when not known yet."""
        known = tuple(version for version in self.versions if version.updated_at <= moment)
        return self._replace(versions=known) if known else None

    def taken_from_stock(self) -> Iterator[OrderLine]:
        """The lines that were packed."""
        if self.refund_of is None and self.state != "CANCELED":
            yield from self.lines


def orders_of_day(seed: int, day: date, crowd: Crowd, tokens: dict[str, str]) -> list[DeliveryOrder]:
    """Orders taken on a local day, each followed by its refund if there is one; empty when closed."""
    if is_closed(day):
        return []
    source = chance(seed, "orders", day)
    count = max(2, round(ORDERS_PER_DAY * demand(day, DELIVERY_MONTHS) * source.gauss(1, 0.1)))
    made = []
    for _ in range(count):
        order = _order(source, day, crowd, tokens)
        made.append(order)
        if order.state == "COMPLETED" and source.random() < 0.015:
            made.append(_refund(source, order))
    return made


def _order(source: Random, day: date, crowd: Crowd, tokens: dict[str, str]) -> DeliveryOrder:
    created_at = noon(day) * 1000 + source.randint(-4 * _HOUR, 8 * _HOUR)
    lines = _lines(source, day, tokens)
    goods = sum(line.gross - line.discount for line in lines)
    return DeliveryOrder(
        order_id=long_id(source),
        created_at=created_at,
        customer=crowd.visitor(source, "delivery") if source.random() < 0.8 else None,
        lines=lines,
        fee=0 if goods > _FREE_ABOVE else source.choice(FEES),
        tender_id=long_id(source),
        tender_type=source.choice(_TENDERS),
        versions=_versions(source, created_at),
    )


def _lines(source: Random, day: date, tokens: dict[str, str]) -> tuple[OrderLine, ...]:
    products = source.choices(DELIVERED, cum_weights=_MENU, k=source.choices((1, 2, 3, 4), (30, 35, 25, 10))[0])
    discount_pct = 15 if source.random() < 0.06 else 0
    made = []
    for product in products:
        quantity, unit = source.choice((1, 1, 2, 2, 3, 4)), product.price_on(day)
        discount = (unit * quantity * discount_pct + 50) // 100
        made.append(OrderLine(upper_id(source, 22), product, tokens[product.sku], quantity, unit, discount))
    return tuple(made)


def _versions(source: Random, created_at: int) -> tuple[Version, ...]:
    """Mostly one version; some are ordered ahead, cancelled, tipped later, or come in up to 72 hours late."""
    done_at = created_at + source.randint(20, 70) * 60_000
    tip = source.choice((0, 0, 0, 0, 50, 100, 200))
    kind = source.random()
    if kind < 0.03:
        return (Version(created_at, "OPEN", 0), Version(done_at + 2 * _DAY, "COMPLETED", tip))
    if kind < 0.05:
        return (Version(created_at, "OPEN", 0), Version(done_at, "CANCELED", 0))
    if kind < 0.06:
        return (Version(done_at, "COMPLETED", tip), Version(done_at + _DAY, "CANCELED", 0))
    if kind < 0.10:
        return (
            Version(done_at, "COMPLETED", 0),
            Version(done_at + source.randint(1, 60) * _HOUR, "COMPLETED", 150),
        )
    if kind < 0.11:
        return (Version(created_at + source.randint(10, 72) * _HOUR, "COMPLETED", tip),)
    return (Version(done_at, "COMPLETED", tip),)


def _refund(source: Random, order: DeliveryOrder) -> DeliveryOrder:
    refunded_at = order.updated_at + source.randint(1, 90) * _HOUR
    is_whole = len(order.lines) == 1 or source.random() < 0.5
    return order._replace(
        order_id=long_id(source),
        created_at=refunded_at,
        lines=order.lines if is_whole else (source.choice(order.lines),),
        fee=0,
        tender_id=long_id(source),
        versions=(Version(refunded_at, "COMPLETED", 0),),
        refund_of=order.order_id,
        reason=source.choice(("Missing item", "Arrived cold", "Wrong address, not delivered")),
    )


def late_orders(orders: list[DeliveryOrder], now: int) -> list[DeliveryOrder]:
    """Five more orders, taken offline up to three days ago and known only since the last minute."""
    models = [order for order in orders if order.refund_of is None and order.state == "COMPLETED"][-5:]
    return [
        order._replace(
            order_id=f"LATE{number}{order.order_id[5:]}",
            created_at=now - 72 * _HOUR + number * _HOUR,
            tender_id=f"LATE{number}{order.tender_id[5:]}",
            versions=(Version(now - 60_000 + number, "COMPLETED", 0),),
        )
        for number, order in enumerate(models, 1)
    ]


def order_json(order: DeliveryOrder) -> dict[str, Any]:
    """The order in the API's form: money in integer cents, moments in RFC 3339 UTC with milliseconds."""
    body: dict[str, Any] = {
        "id": order.order_id,
        "location_id": DELIVERY_LOCATION_ID,
        "created_at": rfc3339(order.created_at),
        "updated_at": rfc3339(order.updated_at),
        "state": order.state,
        "version": len(order.versions),
    }
    if order.state != "OPEN":
        body["closed_at"] = rfc3339(order.updated_at)
    if order.customer:
        body["customer_id"] = order.customer.pos_customer_id
    return body | (_sale_json(order) if order.refund_of is None else _refund_json(order))


def _sale_json(order: DeliveryOrder) -> dict[str, Any]:
    tip = order.versions[-1].tip
    total = sum(line.total for line in order.lines) + order.fee + tip
    body: dict[str, Any] = {
        "source": {"name": "PanPan Delivery app"},
        "line_items": [_line_json(line) for line in order.lines],
        "total_money": _money(total),
        "total_tax_money": _money(sum(line.tax for line in order.lines)),
        "total_discount_money": _money(sum(line.discount for line in order.lines)),
        "total_tip_money": _money(tip),
        "total_service_charge_money": _money(order.fee),
        "fulfillments": [_fulfillment(order)],
    }
    if order.state == "COMPLETED":
        body["tenders"] = [{"id": order.tender_id, "type": order.tender_type, "amount_money": _money(total)}]
    return body


def _line_json(line: OrderLine) -> dict[str, Any]:
    return {
        "uid": line.uid,
        "catalog_object_id": line.token,
        "name": line.product.name,
        "variation_name": line.product.variation,
        "quantity": str(line.quantity),
        "metadata": {"sku": line.product.sku},
        "base_price_money": _money(line.unit),
        "gross_sales_money": _money(line.gross),
        "total_discount_money": _money(line.discount),
        "total_tax_money": _money(line.tax),
        "total_money": _money(line.total),
    }


def _fulfillment(order: DeliveryOrder) -> dict[str, Any]:
    states = {"OPEN": "PROPOSED", "COMPLETED": "COMPLETED", "CANCELED": "CANCELED"}
    recipient: dict[str, Any] = {}
    if order.customer:
        recipient = {
            "customer_id": order.customer.pos_customer_id,
            "display_name": order.customer.pos_name,
            "phone_number": order.customer.phone,
            "address": {"postal_code": order.customer.postcode, "country": "ES"},
        }
        if order.customer.number % 5 < _GIVES_EMAIL:
            recipient["email_address"] = order.customer.email
    return {"type": "DELIVERY", "state": states[order.state], "delivery_details": {"recipient": recipient}}


def _refund_json(order: DeliveryOrder) -> dict[str, Any]:
    total = sum(line.total for line in order.lines)
    tax = sum(line.tax for line in order.lines)
    discount = sum(line.discount for line in order.lines)
    amounts = {"total_money": _money(total), "tax_money": _money(tax), "discount_money": _money(discount)}
    return {
        "line_items": [],
        "returns": [
            {
                "uid": order.order_id[:22],
                "source_order_id": order.refund_of,
                "return_line_items": [_return_line_json(line) for line in order.lines],
                "return_amounts": amounts,
            }
        ],
        "refunds": [
            {
                "id": order.tender_id,
                "reason": order.reason,
                "status": "APPROVED",
                "amount_money": _money(total),
            }
        ],
        "return_amounts": amounts,
        "net_amounts": {
            "total_money": _money(-total),
            "tax_money": _money(-tax),
            "discount_money": _money(-discount),
        },
        "total_money": _money(0),
        "total_tax_money": _money(0),
        "total_discount_money": _money(0),
        "total_tip_money": _money(0),
        "total_service_charge_money": _money(0),
    }


def _return_line_json(line: OrderLine) -> dict[str, Any]:
    returned = _line_json(line)
    returned["uid"] = line.uid[::-1]
    returned["source_line_item_uid"] = line.uid
    returned["gross_return_money"] = returned.pop("gross_sales_money")
    return returned


def _money(cents: int) -> dict[str, Any]:
    return {"amount": cents, "currency": CURRENCY}


def rfc3339(moment: int) -> str:
    """Milliseconds since 1970 as UTC text with milliseconds."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
