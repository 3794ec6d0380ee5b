"""
The HTTP server of all simulated systems: who may ask what, and the switches of the faults.

Comes in: requests with a bearer token per system; `/control` answers this machine only. Goes out: what
pos_api, crm_api and inventory_api answer.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import date
from threading import Lock
from typing import Any, NamedTuple

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from panpan.errors import UsageError
from panpan.settings import Settings
from panpan.simulate import crm_api, inventory_api, pos_api
from panpan.simulate.faults import Faults
from panpan.simulate.replies import json_reply
from panpan.simulate.world import World, yesterday

_LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}

_REFUSED = json_reply({"error": "only from this machine"}, 403)

Endpoint = Callable[[World, Faults, Request], Response]


class Tokens(NamedTuple):
    """The bearer token of each system."""

    pos_api: str
    crm: str
    inventory: str


def tokens_of(settings: Settings) -> Tokens:
    """The tokens in the settings."""
    return Tokens(
        settings.pos_api_token.get_secret_value(),
        settings.crm_token.get_secret_value(),
        settings.inventory_token.get_secret_value(),
    )


def build_app(world: World, tokens: Tokens, faults: Faults | None = None, *, follows_clock: bool = False) -> Starlette:
    """
    The application over one world; faults can also be switched from outside through the object given.

    With follows_clock a new day appears after each midnight in Madrid, so a server left running stays fresh.
    """
    systems = _Systems(world, faults or Faults(), follows_clock)
    crm, stock = (tokens.crm, crm_api.unauthorized), (tokens.inventory, inventory_api.unauthorized)
    routes = [
        Route("/health", systems.health),
        Route("/control/faults", systems.control_faults, methods=["GET", "POST"]),
        Route("/control/until", systems.control_until, methods=["GET", "POST"]),
        Route("/pos-api/v2/orders/search", systems.orders_search(tokens.pos_api), methods=["POST"]),
        Route("/crm/v3/objects/contacts", systems.guarded(crm_api.list_contacts, *crm)),
        Route("/inventory/v1/items", systems.guarded(inventory_api.list_items, *stock)),
        Route("/inventory/v1/levels", systems.guarded(inventory_api.list_levels, *stock)),
        Route("/inventory/v1/movements", systems.guarded(inventory_api.list_movements, *stock)),
        Route("/inventory/v1/deliveries", systems.guarded(inventory_api.list_deliveries, *stock)),
    ]
    return Starlette(routes=routes)


class _Systems:
    """The endpoints over one world; the world is made by the first request that needs it."""

    def __init__(self, world: World, faults: Faults, follows_clock: bool) -> None:
        self._world, self._faults, self._follows_clock = world, faults, follows_clock
        self._lock = Lock()
        self._is_made = self._has_told = self._is_held = False

    def health(self, request: Request) -> Response:
        """Alive, and up to which day the world goes; makes nothing."""
        return json_reply({"ok": True, "until": str(self._world.until), "seed": self._world.seed})

    def guarded(self, endpoint: Endpoint, token: str, refusal: Callable[[], Response]) -> Any:
        """The endpoint for those who bring the token."""

        def answer(request: Request) -> Response:
            if not _has_token(request, token):
                return refusal()
            return endpoint(self._made_world(), self._faults, request)

        return answer

    def orders_search(self, token: str) -> Any:
        """The order search, whose question is in the body."""

        async def answer(request: Request) -> Response:
            if not _has_token(request, token):
                return pos_api.unauthorized()
            body = await request.body()
            return await run_in_threadpool(self._search_orders, body)

        return answer

    async def control_faults(self, request: Request) -> Response:
        """List the faults; switch one with {"name", "on", "times"}."""
        if not _is_from_here(request):
            return _REFUSED
        if request.method == "POST":
            try:
                wanted = orjson.loads(await request.body())
                self._faults.switch(wanted["name"], bool(wanted.get("on", True)), wanted.get("times"))
            except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
                return json_reply({"error": f'expected {{"name", "on", "times"}}: {error}'}, 400)
            except UsageError as error:
                return json_reply({"error": error.message}, 404)
        return json_reply({"faults": self._faults.listing()})

    async def control_until(self, request: Request) -> Response:
        """
        Say which day is the last; move it on with {"until": "2026-06-30"}, and back only before anything was told.

        A last day in the past stays until it is moved on, also where the world follows the clock.
        """
        if not _is_from_here(request):
            return _REFUSED
        if request.method == "POST":
            try:
                until = date.fromisoformat(orjson.loads(await request.body())["until"])
            except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
                return json_reply({"error": f'expected {{"until": "2026-06-30"}}: {error}'}, 400)
            with self._lock:
                if until < self._world.until and self._has_told:
                    return json_reply({"error": f"the last day is {self._world.until} and can't go back"}, 409)
                self._move_to(until)
                self._is_held = until < yesterday()
        return json_reply({"until": str(self._world.until)})

    def _search_orders(self, body: bytes) -> Response:
        return pos_api.search_orders(self._made_world(), self._faults, body)

    def _made_world(self) -> World:
        """The world with everything made; the lock keeps two requests from making it at once."""
        with self._lock:
            if self._follows_clock and not self._is_held and yesterday() > self._world.until:
                self._move_to(yesterday())
            if not self._is_made:
                self._world.make()
                self._is_made = self._has_told = True
            return self._world

    def _move_to(self, until: date) -> None:
        self._world, self._is_made = self._world.later(until), False


def _is_from_here(request: Request) -> bool:
    return request.client is not None and request.client.host in _LOOPBACK


def _has_token(request: Request, token: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), token.encode())
