"""
Stock: what is baked, sold, used up, thrown away, counted, moved and delivered, day after day.

Comes in: the seed and the pieces sold per day. Goes out: movements whose sum is the level of every item and
location, and the suppliers' deliveries. Quantities are integers in thousandths of the item's unit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from random import Random
from typing import NamedTuple

from panpan.simulate.catalogue import (
    BAKED,
    BO,
    DELIVERY_STOCK,
    FL,
    INGREDIENT_BY_SKU,
    INGREDIENTS,
    PRODUCT_BY_SKU,
    PRODUCTS,
    RECIPES,
    SHORT_FLOUR_LEVEL,
    SHORT_FLOUR_LOCATION,
    SHORT_FLOUR_PERIODS,
    START,
    STORES,
    SUPPLIERS,
    Ingredient,
    Supplier,
    is_closed,
    reorder_level,
)
from panpan.simulate.chance import chance, midnight_after, noon

PIECE = 1000
"""One whole unit, in thousandths."""
_BAKERIES = tuple(store.stock_location for store in STORES)
_HOURS = {"opening": -8, "count": -7, "delivery": -6, "production": -6, "transfer": -5, "use": 9, "sale": 9}
"""When each kind of movement is booked, hours from noon; waste is written up last."""
_OPENING_LEVELS = 3
"""Reorder levels there are on the first morning: enough until each supplier's first day."""

ITEM_SKUS = tuple(product.sku for product in PRODUCTS) + tuple(each.sku for each in INGREDIENTS)
ITEM_IDS = {sku: str(4815000000044000 + number * 1009) for number, sku in enumerate(ITEM_SKUS)}

Usage = Iterable[tuple[date, dict[tuple[str, str], int]]]


class Movement(NamedTuple):
    """One booking; quantity in thousandths, unit cost in ten-thousandths of a euro, moments in seconds."""

    movement_id: str
    sku: str
    location: str
    kind: str
    quantity: int
    unit_cost: int
    moved_at: int
    modified_at: int
    reference: str


class DeliveryLine(NamedTuple):
    """One ingredient of a delivery."""

    ingredient: Ingredient
    quantity: int
    unit_cost: int
    expires_on: date


class SupplierDelivery(NamedTuple):
    """What one supplier brought to one location on one morning."""

    delivery_id: str
    supplier_id: str
    location: str
    delivered_at: int
    lines: tuple[DeliveryLine, ...]


class Stock(NamedTuple):
    """All that happened up to a midnight, as the inventory system knows it then."""

    movements: list[Movement]
    deliveries: list[SupplierDelivery]
    levels: dict[tuple[str, str], int]
    counted_at: dict[tuple[str, str], int]


def run_stock(seed: int, until: date, usage: Usage) -> Stock:
    """
    Replay the stock from START; movements in the order of their last change, then id.

    What is written up late (some of the waste) and not yet known at the end of `until` is left out of the
    levels too, so that the sum of movements is the level.
    """
    ledger = _Ledger(seed)
    for day, sold in usage:
        ledger.run_day(day, sold)
    now = midnight_after(until)
    known = [movement for movement in ledger.movements if movement.modified_at < now]
    known.sort(key=lambda movement: (movement.modified_at, movement.movement_id))
    levels: dict[tuple[str, str], int] = defaultdict(int)
    counted: dict[tuple[str, str], int] = {}
    for movement in known:
        levels[movement.sku, movement.location] += movement.quantity
        if movement.kind in {"opening", "count"}:
            counted[movement.sku, movement.location] = movement.moved_at
    return Stock(known, ledger.deliveries, dict(levels), counted)


def unit_cost(sku: str, day: date) -> int:
    """What one unit costs on a day, in ten-thousandths of a euro; ingredients get dearer month by month."""
    if sku in INGREDIENT_BY_SKU:
        months = (day.year - START.year) * 12 + day.month - START.month
        return INGREDIENT_BY_SKU[sku].unit_cost * (1000 + 4 * months) // 1000
    return sum(unit_cost(ingredient, day) * amount for ingredient, amount in RECIPES[sku].items()) // 1000


def is_flour_short(day: date) -> bool:
    """Whether the mill rations Norte on this day."""
    return any(first <= day <= last for first, last in SHORT_FLOUR_PERIODS)


class _Ledger:
    """The running stock and everything booked so far."""

    def __init__(self, seed: int) -> None:
        self.movements: list[Movement] = []
        self.deliveries: list[SupplierDelivery] = []
        self._seed = seed
        self._level: dict[tuple[str, str], int] = defaultdict(int)
        self._used_lately: dict[tuple[str, str], float] = {}
        self._day = START
        self._booked = 0
        self._noon = 0
        self._costs: dict[str, int] = {}

    def run_day(self, day: date, sold: dict[tuple[str, str], int]) -> None:
        """Book one day: morning deliveries and baking, the day's sales, the evening's waste."""
        self._day, self._booked, self._noon = day, 0, noon(day)
        if day == START or day.day == 1:
            self._costs = {sku: unit_cost(sku, day) for sku in ITEM_SKUS}
        if day == START:
            self._open()
        if is_closed(day):
            return
        source = chance(self._seed, "stock", day)
        if day.day == 2:
            self._count(source)
        for supplier in SUPPLIERS:
            if day.weekday() in supplier.weekdays:
                self._take_deliveries(source, supplier)
        baked = self._bake_and_sell(sold)
        self._use(sold, baked)
        self._waste(source)

    def _book(self, kind: str, sku: str, location: str, quantity: int, reference: str, *, days_late: int = 0) -> None:
        if not quantity:
            return
        self._booked += 1
        moved_at = self._noon + _HOURS.get(kind, 10) * 3600
        number = f"MV{self._day:%Y%m%d}{self._booked:04d}"
        self._level[sku, location] += quantity
        self.movements.append(
            Movement(
                number, sku, location, kind, quantity, self._costs[sku],
                moved_at, moved_at + days_late * 86400, reference,
            )
        )  # fmt: skip

    def _open(self) -> None:
        for location in _BAKERIES:
            for each in INGREDIENTS:
                if each.sku != BO:
                    level = reorder_level(each.sku, location) * _OPENING_LEVELS
                    self._book("opening", each.sku, location, level, "opening stock")
            for product in BAKED:
                self._book("opening", product.sku, location, product.batch * PIECE, "opening stock")
        boxes = reorder_level(BO, DELIVERY_STOCK) * _OPENING_LEVELS
        self._book("opening", BO, DELIVERY_STOCK, boxes, "opening stock")

    def _count(self, source: Random) -> None:
        """The monthly count finds a little more or less than the books say."""
        for location in _BAKERIES:
            for each in INGREDIENTS:
                level = self._level[each.sku, location]
                if each.sku != BO and level > 0:
                    found = round(level * source.uniform(-0.02, 0.01))
                    self._book("count", each.sku, location, found, f"count {self._day:%Y-%m}")

    def _take_deliveries(self, source: Random, supplier: Supplier) -> None:
        offered = [each for each in INGREDIENTS if each.supplier_id == supplier.supplier_id]
        for location in (*_BAKERIES, DELIVERY_STOCK):
            places = [each for each in offered if (each.sku == BO) == (location == DELIVERY_STOCK)]
            number = f"D{self._day:%y%m%d}-{supplier.supplier_id}-{location}"
            lines = []
            for each in places:
                quantity = self._ordered(source, supplier, each, location)
                if quantity > 0:
                    expires = self._day + timedelta(days=each.shelf_days)
                    lines.append(DeliveryLine(each, quantity, self._costs[each.sku], expires))
                    self._book("delivery", each.sku, location, quantity, number)
            if lines:
                delivered_at = self._noon + _HOURS["delivery"] * 3600
                self.deliveries.append(
                    SupplierDelivery(number, supplier.supplier_id, location, delivered_at, tuple(lines))
                )

    def _ordered(self, source: Random, supplier: Supplier, each: Ingredient, location: str) -> int:
        level = self._level[each.sku, location]
        if each.sku == FL and location == SHORT_FLOUR_LOCATION and is_flour_short(self._day):
            return max(0, SHORT_FLOUR_LEVEL - 1000 - level) // 1000 * 1000
        gap_days = 11 if len(supplier.weekdays) == 1 else 5
        wanted = reorder_level(each.sku, location) + self._used_lately.get((each.sku, location), 0) * gap_days
        missing = wanted - level
        if source.random() < 0.06:
            missing *= 0.4  # sometimes the van brings less than was ordered
        return max(0, -(-int(missing) // each.pack) * each.pack)

    def _bake_and_sell(self, sold: dict[tuple[str, str], int]) -> dict[tuple[str, str], int]:
        """Whole batches, enough for the day and a small reserve; gives pieces by (SKU, location)."""
        baked = {}
        today = f"{self._day:%Y-%m-%d}"
        for product in BAKED:
            packed = sold.get((product.sku, DELIVERY_STOCK), 0)
            moved = self._packed_ahead(product.sku, packed)
            for location in _BAKERIES:
                pieces = sold.get((product.sku, location), 0)
                taken = moved if location == _BAKERIES[0] else 0
                missing = (pieces + taken + 1) * PIECE - self._level[product.sku, location]
                made = max(0, -(-missing // (product.batch * PIECE))) * product.batch
                baked[product.sku, location] = made
                self._book("production", product.sku, location, made * PIECE, f"bake {today}")
                self._book("transfer", product.sku, location, -taken * PIECE, "to delivery")
                self._book("sale", product.sku, location, -pieces * PIECE, f"sales {today}")
            self._book("transfer", product.sku, DELIVERY_STOCK, moved * PIECE, "from Centro")
            self._book("sale", product.sku, DELIVERY_STOCK, -packed * PIECE, f"sales {today}")
        return baked

    def _packed_ahead(self, sku: str, packed: int) -> int:
        """Pieces Centro sends to delivery: nothing, or enough for today and about as much again."""
        here = self._level[sku, DELIVERY_STOCK] // PIECE
        return packed * 2 + 4 - here if packed > here else 0

    def _use(self, sold: dict[tuple[str, str], int], baked: dict[tuple[str, str], int]) -> None:
        """Ingredients of what was baked or made to order; delivery uses up boxes, two pieces each."""
        used: dict[tuple[str, str], int] = defaultdict(int)
        to_order = {where: n for where, n in sold.items() if not PRODUCT_BY_SKU[where[0]].batch}
        for (sku, location), pieces in (baked | to_order).items():
            for ingredient, amount in RECIPES[sku].items():
                used[ingredient, location] += pieces * amount
        packed = sum(pieces for (_, location), pieces in sold.items() if location == DELIVERY_STOCK)
        used[BO, DELIVERY_STOCK] = packed // 2 * PIECE
        for (sku, location), amount in sorted(used.items()):
            self._book("use", sku, location, -amount, f"recipes {self._day:%Y-%m-%d}")
            before = self._used_lately.get((sku, location), amount)
            self._used_lately[sku, location] = before * 0.85 + amount * 0.15

    def _waste(self, source: Random) -> None:
        """Unsold bread goes, an ingredient spoils now and then; some is written up two days late."""
        for location in _BAKERIES:
            for product in BAKED:
                left = self._level[product.sku, location] // PIECE
                if left > 1 and source.random() < 0.2:
                    days_late = 2 if source.random() < 0.15 else 0
                    pieces = source.randint(1, left)
                    self._book("waste", product.sku, location, -pieces * PIECE, "unsold", days_late=days_late)
            for sku in ("ING-MILK", "ING-CREAM", "ING-EGGS"):
                if source.random() < 0.03:
                    spoilt = self._level[sku, location] // 20
                    self._book("waste", sku, location, -max(0, spoilt), "past its date")
