"""
The inventory system: items, levels and movements as JSON pages in Zoho's form, supplier deliveries as XML.

Comes in: `GET /inventory/v1/...`. Goes out: one page; quantities are decimal text, prices JSON numbers.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar
from xml.sax.saxutils import quoteattr

import orjson
from starlette.requests import Request
from starlette.responses import Response

from panpan.simulate.catalogue import (
    INGREDIENT_BY_SKU,
    PRICE_CHANGE,
    PRODUCT_BY_SKU,
    START,
    SUPPLIER_NAMES,
    Product,
    reorder_level,
)
from panpan.simulate.chance import local, noon
from panpan.simulate.faults import Faults
from panpan.simulate.replies import BadQuestion, json_reply, moment_given, whole_number
from panpan.simulate.stock import ITEM_IDS, ITEM_SKUS, PIECE, Movement, SupplierDelivery, unit_cost
from panpan.simulate.world import World

PER_PAGE, PER_PAGE_MOST = 200, 1000
DELIVERIES_PER_PAGE = 100

Row = TypeVar("Row")


def unauthorized() -> Response:
    """The answer to a wrong or missing token."""
    return _error(401, 57, "You are not authorized to perform this operation")


def list_items(world: World, faults: Faults, request: Request) -> Response:
    """One page of what is stocked: products and ingredients."""
    return _answered(faults, request, "items", lambda: (ITEM_SKUS, partial(_item, world)))


def list_levels(world: World, faults: Faults, request: Request) -> Response:
    """One page of what lies where at the end of the last day."""
    return _answered(faults, request, "levels", lambda: (sorted(world.stock.levels), partial(_level, world)))


def list_movements(world: World, faults: Faults, request: Request) -> Response:
    """One page of stock movements, least lately changed first."""

    def chosen() -> tuple[Sequence[Movement], Callable[[Movement], dict[str, Any]]]:
        since = _moment(request.query_params.get("updated_since"))
        movements = world.stock.movements
        return movements[bisect_left(movements, since, key=lambda each: each.modified_at) :], _movement

    return _answered(faults, request, "movements", chosen)


def list_deliveries(world: World, faults: Faults, request: Request) -> Response:
    """One page of supplier deliveries as XML, oldest first."""
    failure = _failure(faults)
    if failure is not None:
        return failure
    deliveries = world.stock.deliveries
    pages = max(1, -(-len(deliveries) // DELIVERIES_PER_PAGE))
    try:
        page = whole_number(request, "page", 1, pages)
    except BadQuestion as error:
        return _error(400, 4, str(error))
    first = (_page_given(faults, page) - 1) * DELIVERIES_PER_PAGE
    inside = "".join(map(_delivery, deliveries[first : first + DELIVERIES_PER_PAGE]))
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<deliveries page="{page}" pages="{pages}">\n{inside}'
    if faults.strikes("inventory_broken_xml"):
        text = text[: text.rindex("<line")] + "<line sku="
    else:
        text += "</deliveries>\n"
    return Response(text, media_type="application/xml")


def _answered(
    faults: Faults,
    request: Request,
    name: str,
    chosen: Callable[[], tuple[Sequence[Row], Callable[[Row], dict[str, Any]]]],
) -> Response:
    """A page of what chosen gives: all rows, and how one of them is written."""
    failure = _failure(faults)
    if failure is not None:
        return failure
    try:
        page = whole_number(request, "page", 1, 1_000_000)
        per_page = whole_number(request, "per_page", PER_PAGE, PER_PAGE_MOST)
        rows, written = chosen()
    except BadQuestion as error:
        return _error(400, 4, str(error))
    first = (_page_given(faults, page) - 1) * per_page
    body = {
        "code": 0,
        "message": "success",
        name: [written(row) for row in rows[first : first + per_page]],
        "page_context": {"page": page, "per_page": per_page, "has_more_page": page * per_page < len(rows)},
    }
    if faults.strikes("inventory_truncated_json"):
        text = orjson.dumps(body)
        return Response(text[: len(text) * 2 // 3], media_type="application/json")
    return json_reply(body)


def _failure(faults: Faults) -> Response | None:
    if faults.strikes("inventory_slow"):
        time.sleep(faults.slow_seconds)
    if faults.strikes("inventory_500"):
        return _error(500, 1000, "Internal Error")
    if faults.strikes("inventory_code_error"):
        return _error(200, 1002, "The organization is being migrated, try again later")
    return None


def _page_given(faults: Faults, page: int) -> int:
    return page - 1 if page > 1 and faults.strikes("inventory_page_repeats") else page


def _item(world: World, sku: str) -> dict[str, Any]:
    return _product(world, PRODUCT_BY_SKU[sku]) if sku in PRODUCT_BY_SKU else _ingredient(world, sku)


def _product(world: World, each: Product) -> dict[str, Any]:
    return {
        "item_id": ITEM_IDS[each.sku],
        "sku": each.sku,
        "name": f"{each.name} {each.variation}" if each.sku in {"COF-02", "COF-03"} else each.name,
        "kind": "finished",
        "category": each.category,
        "unit": "pcs",
        "purchase_rate": unit_cost(each.sku, world.until) / 10_000,
        "sales_rate": each.price_on(world.until) / 100,
        "reorder_level": 0.0,
        "supplier_id": None,
        "supplier_name": None,
        "status": "active",
        "last_modified_time": zoho_time(_changed(world)),
    }


def _ingredient(world: World, sku: str) -> dict[str, Any]:
    each = INGREDIENT_BY_SKU[sku]
    return {
        "item_id": ITEM_IDS[each.sku],
        "sku": each.sku,
        "name": each.name,
        "kind": "ingredient",
        "category": "Ingredients" if each.unit != "pcs" or each.sku == "ING-EGGS" else "Packaging",
        "unit": each.unit,
        "purchase_rate": unit_cost(each.sku, world.until) / 10_000,
        "sales_rate": None,
        "reorder_level": each.reorder_level / PIECE,
        "supplier_id": each.supplier_id,
        "supplier_name": SUPPLIER_NAMES[each.supplier_id],
        "status": "active",
        "last_modified_time": zoho_time(noon(world.until.replace(day=1)) - 4 * 3600),
    }


def _changed(world: World) -> int:
    return noon(PRICE_CHANGE if world.until >= PRICE_CHANGE else START) - 4 * 3600


def _level(world: World, place: tuple[str, str]) -> dict[str, Any]:
    sku, location = place
    stock = world.stock
    counted = stock.counted_at.get(place)
    return {
        "item_id": ITEM_IDS[sku],
        "sku": sku,
        "location_id": location,
        "on_hand": decimal_text(stock.levels[place]),
        "reorder_level": reorder_level(sku, location) / PIECE,
        "counted_at": zoho_time(counted) if counted else None,
    }


def _movement(each: Movement) -> dict[str, Any]:
    return {
        "movement_id": each.movement_id,
        "item_id": ITEM_IDS[each.sku],
        "sku": each.sku,
        "location_id": each.location,
        "kind": each.kind,
        "quantity": decimal_text(each.quantity),
        "unit_cost": decimal_text(each.unit_cost, 10_000),
        "moved_at": zoho_time(each.moved_at),
        "last_modified_time": zoho_time(each.modified_at),
        "reference": each.reference,
    }


def _delivery(each: SupplierDelivery) -> str:
    lines = "".join(
        f"    <line sku={quoteattr(line.ingredient.sku)} quantity={quoteattr(decimal_text(line.quantity))}"
        f" unit={quoteattr(line.ingredient.unit)} unit_cost={quoteattr(decimal_text(line.unit_cost, 10_000))}"
        f' expires_on="{line.expires_on}"/>\n'
        for line in each.lines
    )
    return (
        f"  <delivery id={quoteattr(each.delivery_id)} supplier_id={quoteattr(each.supplier_id)}"
        f" supplier={quoteattr(SUPPLIER_NAMES[each.supplier_id])} location={quoteattr(each.location)}"
        f' delivered_at="{local(each.delivered_at).isoformat()}">\n{lines}  </delivery>\n'
    )


def decimal_text(amount: int, parts: int = PIECE) -> str:
    """An integer number of thousandths (or other parts of ten) as decimal text: 12500 is `12.500`."""
    whole, rest = divmod(abs(amount), parts)
    return f"{'-' if amount < 0 else ''}{whole}.{rest:0{len(str(parts)) - 1}d}"


def zoho_time(moment: int) -> str:
    """Seconds since 1970 in the organisation's zone: `2025-10-01T21:00:00+0200`."""
    return f"{local(moment):%Y-%m-%dT%H:%M:%S%z}"


def _moment(text: str | None) -> float:
    if not text:
        return 0
    moment = moment_given("updated_since", text)
    return moment.timestamp() if moment.tzinfo else noon(moment.date()) - 12 * 3600


def _error(status: int, code: int, message: str) -> Response:
    return json_reply({"code": code, "message": message}, status)


def whole_answers(world: World) -> Iterator[tuple[str, str]]:
    """Every row of each endpoint as one page: entity and body, as n8n would have received them without paging."""
    levels = sorted(world.stock.levels)
    for name, rows in (
        ("items", [_item(world, sku) for sku in ITEM_SKUS]),
        ("levels", [_level(world, place) for place in levels]),
        ("movements", [_movement(each) for each in world.stock.movements]),
    ):
        yield name, orjson.dumps({"code": 0, name: rows}).decode()
    yield "deliveries", f"<deliveries>\n{''.join(map(_delivery, world.stock.deliveries))}</deliveries>\n"
