"""
The pages as an owner sees them: in Chromium, on a desktop and on a phone, with a year of a bakery's data.

The screenshots stay in the folder named by PANPAN_SCREENSHOTS, or in pytest's own.
"""

from __future__ import annotations

import math
import os
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from psycopg2.extensions import connection as PgConnection
from psycopg2.extras import execute_values

from db.connection import connect
from panpan.settings import Settings
from panpan.web.app import build_app
from transforms.sales_forecast import refresh_forecast

CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NEWEST_DAY = date(2026, 6, 29)
DAYS = 400
STORES = {"s1": "Centro", "s2": "Mercato", "s3": "Stazione", "d1": "Delivery"}
SHARES = {"s1": 1.0, "s2": 0.72, "s3": 0.55, "d1": 0.38}
PRODUCTS = {
    "Bread": ["Sourdough loaf", "Baguette", "Rye loaf", "Ciabatta", "Focaccia", "Wholegrain roll"],
    "Pastry": ["Butter croissant", "Pain au chocolat", "Cinnamon roll", "Almond croissant", "Brioche"],
    "Cake": ["Apple tart", "Lemon cake", "Carrot cake", "Cheesecake", "Chocolate muffin"],
    "Drinks": ["Espresso", "Cappuccino", "Flat white", "Tea", "Orange juice", "Hot chocolate"],
    "Savoury": ["Quiche Lorraine", "Cheese sandwich", "Spinach pie"],
}
INGREDIENTS = {
    "Flour type 0": "kg",
    "Rye flour": "kg",
    "Butter": "kg",
    "Sugar": "kg",
    "Yeast": "kg",
    "Eggs": "pieces",
    "Milk": "l",
    "Coffee beans": "kg",
    "Dark chocolate": "kg",
    "Almonds": "kg",
    "Apples": "kg",
    "Salt": "kg",
}

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing: the pages were not looked at"),
]


@pytest.fixture(scope="module")
def bakery(new_warehouse: Callable[[], AbstractContextManager[Settings]]) -> Iterator[Settings]:
    """A warehouse with 400 days of three stores and a delivery service."""
    with new_warehouse() as settings:
        with connect(settings, "transformer") as connection:
            fill(connection)
        refresh_forecast(settings, NEWEST_DAY + timedelta(days=1))
        yield settings


def fill(connection: PgConnection) -> None:
    fill_sales(connection)
    fill_customers(connection)
    fill_inventory(connection)
    fill_freshness(connection)
    fill_backups(connection)
    fill_goals(connection)


@pytest.fixture(scope="module")
def address(bakery: Settings) -> Iterator[str]:
    """The pages, served on a free port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    served = uvicorn.Server(uvicorn.Config(build_app(bakery), log_level="warning", lifespan="off"))
    thread = threading.Thread(target=served.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not served.started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    served.should_exit = True
    thread.join(10)
    listener.close()


def insert(connection: PgConnection, table: str, columns: str, rows: list[tuple[Any, ...]]) -> None:
    with connection.cursor() as cursor:
        execute_values(cursor, f"insert into marts.{table} ({columns}) values %s", rows, page_size=5000)  # noqa: S608  # names of ours


def fill_sales(connection: PgConnection) -> None:
    """Weekends are strong, the year grows a little, Centro carries most; a few refunds a week."""
    dice = random.Random(7)
    by_day: list[tuple[Any, ...]] = []
    by_product: list[tuple[Any, ...]] = []
    months: dict[tuple[date, str], list[Any]] = {}
    products = [(category, name) for category, names in PRODUCTS.items() for name in names]
    appeal = {name: dice.uniform(0.15, 1) ** 2 for _, name in products}
    for back in range(DAYS):
        day = NEWEST_DAY - timedelta(days=back)
        weekend = {5: 1.45, 6: 1.25, 0: 0.8}.get(day.weekday(), 1)
        season = 1 + 0.12 * math.sin(day.timetuple().tm_yday / 58) + (DAYS - back) / DAYS * 0.18
        for store_id, share in SHARES.items():
            if store_id == "s3" and day.weekday() == 6:
                continue  # closed on Sundays
            tickets = int(210 * share * weekend * season * dice.uniform(0.86, 1.14))
            source = "delivery_app" if store_id == "d1" else "pos_bakery"
            total = 0.0
            for category, name in products if back < 120 else []:
                quantity = int(tickets * appeal[name] * dice.uniform(0.1, 0.3)) + 1
                amount = round(quantity * (2 + 7 * appeal[name]), 2)
                product_id = str(uuid.uuid5(uuid.NAMESPACE_OID, name))
                by_product.append(
                    (day, store_id, source, product_id, name, category, "EUR", quantity, amount, quantity)
                )
            total = round(tickets * dice.uniform(7.2, 8.9) * (1.9 if store_id == "d1" else 1), 2)
            refund = round(total * dice.choice([0, 0, 0, 0.01]), 2)
            discount = round(total * 0.03, 2)
            net = round(total - refund - discount, 2)
            facts = [
                tickets,
                int(refund > 0),
                int(tickets * 0.4),
                tickets * 2,
                total,
                discount,
                refund,
                net,
                net * 0.1,
            ]
            channel = "delivery" if store_id == "d1" else "store"
            by_day.append((day, store_id, STORES[store_id], source, channel, "EUR", *facts, 0))
            month = months.setdefault((day.replace(day=1), store_id), [source, *[0] * len(facts)])
            month[1:] = [a + b for a, b in zip(month[1:], facts, strict=True)]
    figures = (
        "ticket_count, refund_count, customer_count, item_quantity, gross_amount, discount_amount, "
        "refund_amount, net_amount, tax_amount"
    )
    place = "store_id, store_name, source"
    insert(
        connection,
        "daily_store_sales",
        f"business_date, {place}, channel, currency_code, {figures}, unknown_amount_line_count",
        by_day,
    )
    insert(
        connection,
        "monthly_store_sales",
        f"month, {place}, currency_code, {figures}",
        [(month, s, STORES[s], facts[0], "EUR", *facts[1:]) for (month, s), facts in months.items()],
    )
    insert(
        connection,
        "daily_product_sales",
        "business_date, store_id, source, product_id, product_name, category, currency_code, quantity, "
        "net_amount, ticket_count",
        by_product,
    )


def fill_customers(connection: PgConnection) -> None:
    """New ones every month; some stay, a few buy very much."""
    dice = random.Random(11)
    rows = []
    known: list[tuple[str, date]] = []
    month = date(2025, 6, 1)
    while month <= NEWEST_DAY:
        for customer_id, first in known:
            if dice.random() < 0.42:
                amount = round(dice.paretovariate(1.4) * 14, 2)
                rows.append((month, customer_id, "crm", "EUR", dice.randint(1, 9), amount, first, month, False))
        for _ in range(dice.randint(34, 60)):
            customer_id = str(uuid.UUID(int=dice.getrandbits(128)))
            first = month + timedelta(days=dice.randrange(27))
            known.append((customer_id, first))
            rows.append(
                (
                    month,
                    customer_id,
                    "pos_bakery",
                    "EUR",
                    1,
                    round(dice.uniform(4, 40), 2),
                    first,
                    first,
                    True,
                )
            )
        month = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    insert(
        connection,
        "customer_activity",
        "month, customer_id, source, currency_code, ticket_count, net_amount, first_purchase_on, "
        "last_purchase_on, is_new",
        [(r[0], r[1], "pos_bakery", *r[3:]) for r in rows],
    )


def fill_inventory(connection: PgConnection) -> None:
    dice = random.Random(13)
    rows = []
    for store_id in ("s1", "s2", "s3"):
        for place, (name, unit) in enumerate(INGREDIENTS.items()):
            use = round(dice.uniform(0.4, 9), 2)
            on_hand = round(use * dice.choice([0.6, 1.8, 4, 7, 12, 21]) * dice.uniform(0.8, 1.2), 1)
            reorder = round(use * 2, 1)
            cover = None if name == "Salt" else round(on_hand / use, 1)
            counted = datetime.now(UTC) - timedelta(hours=33)
            rows.append(
                (
                    str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
                    store_id,
                    f"ING-{place:03}",
                    name,
                    "Ingredients",
                    "ingredient",
                    STORES[store_id],
                    unit,
                    on_hand,
                    reorder,
                    use,
                    cover,
                    on_hand <= reorder,
                    round(on_hand * 2.4, 2),
                    counted,
                )
            )
    insert(
        connection,
        "inventory_status",
        "product_id, store_id, sku, product_name, category, kind, store_name, unit, on_hand_quantity, "
        "reorder_level, daily_use_quantity, days_of_cover, is_low, inventory_value, counted_at",
        rows,
    )


def fill_freshness(connection: PgConnection) -> None:
    now = datetime.now(UTC)
    rows = [
        (
            "pos_bakery",
            "Point of sale",
            now - timedelta(hours=3),
            now - timedelta(hours=4),
            26,
            50,
            412_377,
            38,
        ),
        (
            "delivery_app",
            "Delivery app",
            now - timedelta(hours=2),
            now - timedelta(hours=2),
            26,
            50,
            51_204,
            0,
        ),
        ("crm", "Customer list (CRM)", now - timedelta(hours=9), now - timedelta(hours=20), 26, 50, 640, 2),
        (
            "inventory",
            "Inventory system",
            now - timedelta(hours=31),
            now - timedelta(hours=31),
            26,
            50,
            8_112,
            5,
        ),
    ]
    insert(
        connection,
        "data_freshness",
        "source, title, last_load_at, last_record_at, warn_after_hours, error_after_hours, row_count, reject_count",
        rows,
    )


def fill_backups(connection: PgConnection) -> None:
    now = datetime.now(UTC)
    rows = [
        (event, f"set {days}", "good", now - timedelta(days=days), now - timedelta(days=days), seconds)
        for days in range(5, -1, -1)
        for event, seconds in (("created", 40 + days), ("drilled", 70 + days))
    ]
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            "insert into ops.backup_ledger (event, set_name, verdict, recorded_at, snapshot_at, seconds) values %s",
            rows,
        )


def fill_goals(connection: PgConnection) -> None:
    metrics = {"revenue_up": "revenue", "inventory_cost_down": "inventory_cost", "retention_up": "retention_rate"}
    start, end = date(2026, 4, 1), date(2026, 9, 30)
    rows = [
        (
            *(goal, start + timedelta(days=day), f"Goal {goal}", "Owner", metric),
            *(("share", None) if goal == "retention_up" else ("currency", "EUR")),
            *(start, end, 0.5, 0.6, 0.5 + day / 2000, 0.5 + day / 1820, "behind", "0" * 16, "1" * 16),
            datetime.now(UTC),
        )
        for goal, metric in metrics.items()
        for day in range((NEWEST_DAY - start).days + 1)
    ]
    insert(
        connection,
        "goal_progress",
        "goal, day, title, owner, metric, unit, currency_code, start_on, end_on, base_value, target_value, value,"
        " expected_value, verdict, plan_id, base_plan_id, refreshed_at",
        rows,
    )


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("PANPAN_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # not needed where the browser is missing

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_ARGUMENTS)
        yield opened
        opened.close()


DEVICES = {"desktop": (1280, 900), "phone": (390, 844)}
PAGES = {
    "overview": ("/", ".figure", 4),
    "sales": ("/dashboards/sales", ".figure, .chart", 9),
    "customers": ("/dashboards/customers", ".figure, .chart", 4),
    "inventory": ("/dashboards/inventory", ".figure, .chart, table", 4),
    "goals": ("/dashboards/goals", ".chart, table", 5),
    "forecast": ("/forecast", ".chart", 4),
    "trust": ("/dashboards/trust", ".figure, table", 7),
    "question": ("/questions/sales_per_store_by_month", ".chart, table", 2),
}


@pytest.mark.parametrize("page_name", PAGES)
@pytest.mark.parametrize("device", DEVICES)
def test_page_is_complete_and_calm(address: str, browser: Any, screenshots: Path, page_name: str, device: str) -> None:
    """No console error, no request to anywhere else, every figure in sight, nothing to scroll sideways."""
    path, figures, count = PAGES[page_name]
    width, height = DEVICES[device]
    page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=1)
    said: list[str] = []
    requested: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: requested.append(request.url))

    answer = page.goto(address + path, wait_until="networkidle")

    page.screenshot(path=screenshots / f"{page_name}_{device}.png", full_page=True)
    shown = page.locator(figures)
    assert answer.status == 200
    assert said == []
    assert all(url.startswith(address) or url.startswith("data:") for url in requested), requested
    assert shown.count() == count
    for place in range(count):
        box = shown.nth(place).bounding_box()
        assert box is not None
        assert box["height"] > 10
        assert box["width"] > 20
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".chart svg:visible").count() == page.locator(".chart").count()
    page.close()


def test_a_filter_works_without_a_script(address: str, browser: Any, screenshots: Path) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{address}/dashboards/sales")

    page.select_option("select[name=source]", "delivery_app")
    page.fill("input[name=date_from]", "2026-06-01")
    page.click("button[type=submit]")

    page.screenshot(path=screenshots / "filtered.png", full_page=True)
    assert "source=delivery_app" in page.url
    assert page.locator("select[name=source]").input_value() == "delivery_app"
    assert "Delivery app in EUR, 1 Jun 2026 to 29 Jun 2026" in page.content()
    assert "Mercato" not in page.content()
    context.close()
