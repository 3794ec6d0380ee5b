"""
The POS API: delivery orders by time of change, in Square's form.

Comes in: `POST /pos-api/v2/orders/search`. Goes out: orders, oldest change first unless asked otherwise, and
a cursor that is only good for the same question.
"""

from __future__ import annotations

import binascii
import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_left, bisect_right
from datetime import datetime
from typing import Any

import orjson
from starlette.responses import Response

from panpan.simulate.catalogue import DELIVERY_LOCATION_ID
from panpan.simulate.faults import Faults
from panpan.simulate.orders import DeliveryOrder, late_orders, order_json
from panpan.simulate.replies import BadQuestion, html_reply, json_reply
from panpan.simulate.world import World

LIMIT, LIMIT_MOST = 500, 1000
_REPEATED = 3


def unauthorized() -> Response:
    """The answer to a wrong or missing token."""
    return _error(401, "AUTHENTICATION_ERROR", "UNAUTHORIZED", "This request could not be authorized.")


def search_orders(world: World, faults: Faults, body: bytes) -> Response:
    """One page of the orders asked for, or one of the API's ways of failing."""
    if faults.strikes("pos_api_wrong_token"):
        return unauthorized()
    if faults.strikes("pos_api_502_html"):
        return html_reply("502 Bad Gateway", 502)
    if faults.strikes("pos_api_rate_limited"):
        return _error(429, "RATE_LIMIT_ERROR", "RATE_LIMITED", "Too many requests.")
    try:
        question = orjson.loads(body or b"{}")
        if not isinstance(question, dict):
            raise BadQuestion("the body is not an object")
        return json_reply(_page(world, faults, question))
    except orjson.JSONDecodeError as error:
        return _error(400, "INVALID_REQUEST_ERROR", "BAD_REQUEST", f"The body is not JSON: {error}")
    except BadQuestion as error:
        return _error(400, "INVALID_REQUEST_ERROR", "INVALID_VALUE", str(error))


def _page(world: World, faults: Faults, question: dict[str, Any]) -> dict[str, Any]:
    limit = question.get("limit", LIMIT)
    if not isinstance(limit, int) or not 1 <= limit <= LIMIT_MOST:
        raise BadQuestion(f"limit is {limit!r}, expected 1 to {LIMIT_MOST}")
    asked = {name: value for name, value in question.items() if name != "cursor"}
    mark = hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
    cursor = question.get("cursor")
    offset, has_late = _read_cursor(cursor, mark) if cursor else (0, faults.strikes("pos_api_late_orders"))
    orders = _chosen(world, asked, has_late)
    page = [order_json(order) for order in orders[offset : offset + limit]]
    if faults.strikes("pos_api_duplicate_orders"):
        page += page[:_REPEATED]
    answer: dict[str, Any] = {"orders": page}
    if offset + limit < len(orders):
        answer["cursor"] = _cursor(offset + limit, has_late, mark)
    return answer


def _chosen(world: World, asked: dict[str, Any], has_late: bool) -> list[DeliveryOrder]:
    if DELIVERY_LOCATION_ID not in asked.get("location_ids", []):
        return []
    query = asked.get("query") or {}
    window = ((query.get("filter") or {}).get("date_time_filter") or {}).get("updated_at") or {}
    sort = query.get("sort") or {}
    if window and sort.get("sort_field") != "UPDATED_AT":
        raise BadQuestion("sort_field must be UPDATED_AT when filtering on updated_at")
    orders = world.known_orders
    if has_late:
        orders = sorted(orders + late_orders(orders, world.now * 1000), key=_updated_at)
    start, end = _moment(window.get("start_at")), _moment(window.get("end_at"))
    first = 0 if start is None else bisect_left(orders, start, key=_updated_at)
    last = len(orders) if end is None else bisect_right(orders, end, key=_updated_at)
    found = orders[first:last]
    return found if sort.get("sort_order", "DESC") == "ASC" else found[::-1]


def _updated_at(order: DeliveryOrder) -> int:
    return order.updated_at


def _moment(text: str | None) -> int | None:
    """RFC 3339 text as milliseconds since 1970."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise BadQuestion(f"{text!r} is not a moment in RFC 3339") from None
    if moment.tzinfo is None:
        raise BadQuestion(f"{text!r} has no zone")
    return round(moment.timestamp() * 1000)


def _cursor(offset: int, has_late: bool, mark: str) -> str:
    return urlsafe_b64encode(f"{offset}.{int(has_late)}.{mark}".encode()).decode()


def _read_cursor(cursor: str, mark: str) -> tuple[int, bool]:
    try:
        offset, has_late, asked = urlsafe_b64decode(str(cursor)).decode().split(".")
        number = int(offset)
    except (binascii.Error, ValueError):
        raise BadQuestion("the cursor is not one of ours") from None
    if asked != mark:
        raise BadQuestion("the cursor belongs to another query")
    return number, has_late == "1"


def _error(status: int, category: str, code: str, detail: str) -> Response:
    return json_reply({"errors": [{"category": category, "code": code, "detail": detail}]}, status)
