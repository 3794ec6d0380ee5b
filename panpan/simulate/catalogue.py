"""
What PanPan is: its places, what it sells, what it bakes from and who supplies it.

Constants only; everything that happens is made from them by sales, orders, contacts and stock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

START = date(2025, 10, 1)
ZONE = ZoneInfo("Europe/Madrid")
CURRENCY = "EUR"
DEFAULT_SEED = 2025

LAYOUT_CHANGE = date(2026, 3, 1)
"""First export day without the columns Commission and Employee."""
PRICE_CHANGE = date(2026, 4, 1)
"""First day of the higher prices."""
RECREATED_ON = date(2026, 1, 15)
"""Day on which one product was deleted and made again, which gave it another token."""
RECREATED_SKU = "COF-05"
LOWER_CASE_UNTIL = date(2025, 12, 1)
"""The same product was typed in lower case before this day."""

TAX_PCT = 10


@dataclass(frozen=True, slots=True)
class Store:
    """One place that sells; hours in local time, receipts before `day_ends_hour` belong to the day before."""

    code: str
    name: str
    unit_id: str
    location_id: str
    stock_location: str
    day_ends_hour: int
    size: float
    devices: tuple[str, ...]
    employees: tuple[str, ...]
    month_factors: tuple[float, ...]


STORES = (
    Store(
        "centro", "PanPan Centro", "LC3NTR0PANP4N", "L-CENTRO", "W-CENTRO", 4, 1.12,
        ("Centro Till 1", "Centro Till 2"),
        ("Lucía Gómez", "Marc Vidal", "Nuria Peña", "Iván Ruiz"),
        (1.02, 1.0, 1.0, 1.0, 1.02, 0.98, 0.88, 0.72, 0.98, 1.03, 1.05, 1.15),
    ),
    Store(
        "norte", "PanPan Norte", "LN0RT3PANP4N1", "L-NORTE", "W-NORTE", 4, 0.96,
        ("Norte Till",),
        ("Ana Martín", "Pol Serra", "Inés Castaño"),
        (1.0, 1.0, 1.0, 1.0, 1.0, 0.97, 0.9, 0.8, 1.0, 1.02, 1.03, 1.1),
    ),
    Store(
        "playa", "PanPan Playa", "LPL4Y4PANP4N2", "L-PLAYA", "W-PLAYA", 4, 0.92,
        ("Playa\u2019s iPad", "Playa Till"),
        ("Óscar Núñez", "Julia Ferrer", "Sofía O'Neill"),
        (0.75, 0.78, 0.85, 1.0, 1.08, 1.25, 1.4, 1.45, 1.15, 0.95, 0.8, 0.85),
    ),
)  # fmt: skip
NIGHT_STORE = "playa"

DELIVERY_CODE = "delivery"
DELIVERY_NAME = "PanPan Delivery"
DELIVERY_LOCATION_ID = "L-DELIVERY"
DELIVERY_STOCK = "W-DELIVERY"
DELIVERY_MONTHS = (1.08, 1.06, 1.02, 1.0, 0.97, 0.93, 0.9, 0.85, 0.98, 1.02, 1.08, 1.15)

STOCK_LOCATIONS = (*(store.stock_location for store in STORES), DELIVERY_STOCK)


@dataclass(frozen=True, slots=True)
class Product:
    """One thing sold: prices in cents without tax."""

    sku: str
    name: str
    variation: str
    category: str
    itemization: str
    price: int
    price_after: int
    popularity: float
    batch: int = 0
    """Pieces baked at a time; 0 for what is made to order and so has no stock of its own."""
    is_delivered: bool = False
    modifiers: tuple[str, ...] = ()

    def price_on(self, day: date) -> int:
        """Price in cents without tax."""
        return self.price_after if day >= PRICE_CHANGE else self.price


GOOD = "Physical Good"
PREPARED = "Prepared Food and Beverage"
MILKS = ("Oat Milk", "Whole Milk", "Vanilla", "Extra Shot")
COLD = ("Cold Foam", "Oat Milk", "Blueberry", "Salted Maple")
FL, BU, SU, EG, MI, CO = "ING-FLOUR", "ING-BUTTER", "ING-SUGAR", "ING-EGGS", "ING-MILK", "ING-COFFEE"
CH, YE, CR, NU, MA, BO = "ING-CHOC", "ING-YEAST", "ING-CREAM", "ING-NUTS", "ING-MATCHA", "ING-BOX"

PRODUCTS = (
    Product("BRE-01", "Baguette", "Regular", "Bread", GOOD, 160, 170, 11, 8, True),
    Product("BRE-02", "Pan de payés", "Regular", "Bread", GOOD, 320, 340, 6, 6, True),
    Product("BRE-03", "Loaf, seeds & nuts", "Regular", "Bread", GOOD, 410, 440, 4, 4),
    Product("BRE-04", '12" focaccia', "Regular", "Bread", GOOD, 550, 590, 2.5, 4),
    Product("BRE-05", "Barra integral", "Regular", "Bread", GOOD, 190, 200, 5, 6),
    Product("CRO-01", "Croissant", "Regular", "Pastry", GOOD, 170, 185, 13, 12, True),
    Product("CRO-02", "Pain au chocolat", "Regular", "Pastry", GOOD, 200, 215, 7, 12, True),
    Product("PAS-01", "Ensaimada", "Regular", "Pastry", GOOD, 220, 235, 6, 8),
    Product("PAS-02", "Napolitana de crema", "Regular", "Pastry", GOOD, 210, 225, 4, 8),
    Product("PAS-03", "Palmera", "Regular", "Pastry", GOOD, 230, 245, 3, 6),
    Product("PAS-04", "Caña de piñones", "Regular", "Pastry", GOOD, 240, 260, 3, 6),
    Product("PAS-05", "Baker\u2019s roll", "Regular", "Pastry", GOOD, 260, 275, 4, 6, True),
    Product("CAK-01", "Lemon Dream", "Slice", "Cake", GOOD, 390, 420, 3, 10, True),
    Product("CAK-02", "Tarta de queso", "Slice", "Cake", GOOD, 420, 450, 3.5, 10, True),
    Product("CAK-03", "Brownie", "Regular", "Cake", GOOD, 290, 310, 4, 12, True),
    Product("CAK-04", "Birthday cake", "Whole", "Cake", GOOD, 2800, 2950, 0.3, 2),
    Product("COF-01", "Espresso", "Regular", "Coffee", PREPARED, 140, 150, 9),
    Product("COF-02", "Café con leche", "Small", "Coffee", PREPARED, 180, 190, 12, modifiers=MILKS),
    Product("COF-03", "Café con leche", "Large", "Coffee", PREPARED, 240, 255, 6, modifiers=MILKS),
    Product("COF-04", "Cappuccino", "Regular", "Coffee", PREPARED, 260, 275, 6, modifiers=MILKS),
    Product("COF-05", "Matcha Latte", "Regular", "Coffee", PREPARED, 360, 390, 3, modifiers=COLD),
    Product("COF-06", "Cold Brew", "Regular", "Coffee", PREPARED, 340, 360, 3, modifiers=COLD),
    Product("COF-07", "Hot chocolate", "Regular", "Coffee", PREPARED, 300, 320, 2.5),
    Product("MER-01", "Tote bag", "Regular", "None", GOOD, 900, 900, 0.3),
)  # fmt: skip
RECIPES: dict[str, dict[str, int]] = {
    "BRE-01": {FL: 250, YE: 5},
    "BRE-02": {FL: 480, YE: 8},
    "BRE-03": {FL: 400, NU: 60, YE: 7},
    "BRE-04": {FL: 350, YE: 6},
    "BRE-05": {FL: 260, YE: 5},
    "CRO-01": {FL: 55, BU: 28, SU: 6, MI: 15},
    "CRO-02": {FL: 55, BU: 28, CH: 15},
    "PAS-01": {FL: 60, SU: 15, EG: 200},
    "PAS-02": {FL: 55, BU: 22, CR: 30},
    "PAS-03": {FL: 60, BU: 35, SU: 20},
    "PAS-04": {FL: 50, BU: 20, NU: 15, CR: 25},
    "PAS-05": {FL: 70, BU: 25, SU: 25},
    "CAK-01": {FL: 40, SU: 40, EG: 500, CR: 40},
    "CAK-02": {SU: 45, EG: 600, CR: 90},
    "CAK-03": {FL: 30, BU: 30, CH: 40, EG: 300},
    "CAK-04": {FL: 400, SU: 350, EG: 6000, CR: 500},
    "COF-01": {CO: 9},
    "COF-02": {CO: 9, MI: 120},
    "COF-03": {CO: 16, MI: 200},
    "COF-04": {CO: 10, MI: 150},
    "COF-05": {MA: 4, MI: 200},
    "COF-06": {CO: 18},
    "COF-07": {CH: 25, MI: 200},
    "MER-01": {},
}
"""What one piece takes, by SKU: thousandths of each ingredient's unit."""
DELIVERED = tuple(product for product in PRODUCTS if product.is_delivered)
BAKED = tuple(product for product in PRODUCTS if product.batch)


@dataclass(frozen=True, slots=True)
class Ingredient:
    """One thing bought: cost per unit in ten-thousandths of a euro, quantities in thousandths of the unit."""

    sku: str
    name: str
    unit: str
    supplier_id: str
    unit_cost: int
    pack: int
    reorder_level: int
    shelf_days: int


INGREDIENTS = (
    Ingredient(FL, "Flour T65", "kg", "S-10", 7200, 5000, 40000, 180),
    Ingredient(YE, "Fresh yeast", "kg", "S-10", 31000, 250, 1000, 21),
    Ingredient(SU, "Sugar", "kg", "S-10", 9800, 5000, 6000, 365),
    Ingredient(BU, "Butter 82 %", "kg", "S-20", 74000, 1000, 6000, 60),
    Ingredient(EG, "Eggs", "pcs", "S-20", 2100, 30000, 60000, 28),
    Ingredient(MI, "Whole milk", "l", "S-20", 9100, 6000, 25000, 10),
    Ingredient(CR, "Cream 35 %", "l", "S-20", 42000, 1000, 6000, 14),
    Ingredient(CO, "Coffee beans", "kg", "S-30", 168000, 1000, 4000, 270),
    Ingredient(CH, "Dark chocolate", "kg", "S-30", 112000, 1000, 3000, 300),
    Ingredient(MA, "Matcha", "kg", "S-30", 960000, 100, 100, 300),
    Ingredient(NU, "Nuts and seeds", "kg", "S-30", 134000, 1000, 1500, 180),
    Ingredient(BO, "Cake box", "pcs", "S-40", 1800, 100000, 150000, 999),
)
INGREDIENT_BY_SKU = {ingredient.sku: ingredient for ingredient in INGREDIENTS}
PRODUCT_BY_SKU = {product.sku: product for product in PRODUCTS}


@dataclass(frozen=True, slots=True)
class Supplier:
    """Who delivers, and on which weekdays (Monday is 0)."""

    supplier_id: str
    name: str
    weekdays: tuple[int, ...]


SUPPLIERS = (
    Supplier("S-10", "Harinas del Norte, S.L.", (0, 2, 4)),
    Supplier("S-20", "Lácteos Peña", (1, 4)),
    Supplier("S-30", "Comercial Ávila & Hijos", (2,)),
    Supplier("S-40", "EmbalaFácil", (1,)),
)
SUPPLIER_NAMES = {supplier.supplier_id: supplier.name for supplier in SUPPLIERS}

SHORT_FLOUR_LOCATION = "W-NORTE"
SHORT_FLOUR_LEVEL = 60000
SHORT_FLOUR_PERIODS = (
    (date(2025, 10, 13), date(2026, 1, 10)),
    (date(2026, 4, 13), date(2026, 5, 10)),
    (date(2026, 7, 27), date.max),
)
"""Days (first, last) on which the mill rations Norte below its own reorder level."""


def reorder_level(sku: str, location: str) -> int:
    """Level below which an ingredient is to be ordered, in thousandths of its unit."""
    if sku == FL and location == SHORT_FLOUR_LOCATION:
        return SHORT_FLOUR_LEVEL
    return INGREDIENT_BY_SKU[sku].reorder_level if sku in INGREDIENT_BY_SKU else 0


def is_closed(day: date) -> bool:
    """Christmas Day and New Year's Day."""
    return (day.month, day.day) in {(12, 25), (1, 1)}
